"""A chain of experiments: what each stage is given, and two stages end to end on the tiny model."""

import json
from pathlib import Path
from typing import Any

import pytest

from edu_align.training import chain
from edu_align.training.chain import _words, run_chain
from edu_align.utils.errors import UserError
from tests.children import program
from tests.conftest import TINY

STAGES = ["reproduce_sft", "reproduce_dpo"]


def test_what_each_stage_is_given() -> None:
    given = ["experiment=tutor", "model=tiny", "trainer.beta=0.3", "run_name=a", "init_from=b", "seed=1", "chain=[x,y]"]
    sft, dpo = (_words(name, given, first=name == STAGES[0], config_dirs=[]) for name in STAGES)
    assert sft == ["experiment=reproduce_sft", "model=tiny", "run_name=a-reproduce_sft", "init_from=b", "seed=1"]
    assert dpo == ["experiment=reproduce_dpo", "model=tiny", "trainer.beta=0.3", "run_name=a-reproduce_dpo", "seed=1"]


def test_one_experiment_is_no_chain() -> None:
    with pytest.raises(UserError, match=r"at least two experiments.*choose experiment=reproduce_sft"):
        run_chain(["reproduce_sft"], [])


def test_a_mistake_of_the_last_stage_shows_before_the_first_one_runs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"`trainer\.beta` must be > 0"):
        run_chain(STAGES, [*TINY, f"outputs_root={tmp_path}", "trainer.beta=-1"])
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hardware.memory_gb=0.001"], "this run is planned to take"),
        (["trainer.batch_size=3", "hardware.per_device_batch_size=3"], "cannot be dealt out evenly to 2 processes"),
    ],
)
def test_a_last_stage_that_cannot_run_is_refused_before_the_first_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    """Its size and its shares of a batch, which no schema knows."""
    monkeypatch.setattr("edu_align.config.batch.count", lambda: 2)
    original = chain._words

    def only_the_last(name: str, overrides: list[str], first: bool, config_dirs: list[Path]) -> list[str]:
        return [*original(name, overrides, first, config_dirs), *([] if first else words)]

    monkeypatch.setattr(chain, "_words", only_the_last)
    with pytest.raises(UserError, match=said):
        run_chain(STAGES, [*TINY, f"outputs_root={tmp_path}"])
    assert not (tmp_path / "runs").exists()


def test_data_that_the_last_stage_lacks_is_missed_before_the_first_one_runs(tmp_path: Path, monkeypatch: Any) -> None:
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("EDU_ALIGN_DATA", raising=False)
    words = [word for word in TINY if not word.startswith(("dataset=", "dataset.size="))]
    with pytest.raises(UserError, match=r"source 'mrbench': `data_root` is not set"):
        run_chain(["reproduce_sft", "mrbench_dpo"], [*words, f"outputs_root={tmp_path}"])
    assert not (tmp_path / "runs").exists()


def test_the_command_line_runs_a_chain(tmp_path: Path) -> None:
    words = [*TINY, f"outputs_root={tmp_path}", f"chain=[{','.join(STAGES)}]", "run_name=c"]
    done = program("edu_align.train", *words)
    assert done.returncode == 0, done.stderr
    sft, dpo = (json.loads((tmp_path / "runs" / f"c-{name}" / "run.json").read_text()) for name in STAGES)
    assert [sft["trainer"], dpo["trainer"]] == ["sft", "dpo"]
    assert dpo["init_from"].endswith("c-reproduce_sft")
    assert sft["state"] == dpo["state"] == "finished"
