"""Jobs that share work equal the same jobs alone, and what they share is computed once."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.models import base_model as base
from tests.killing import in_child, outcome
from tests.scenarios.sweeping import JOBS, job

CACHED = {"measurement before training", "tokenized pairs", "reference log-probabilities"}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four jobs in their order, in this process, with one cache."""
    outputs = tmp_path_factory.mktemp("sweep")
    base.forget()
    for number in range(len(JOBS)):
        job(outputs, number)
    return outputs


def shared(folder: Path) -> dict[str, str]:
    return json.loads((folder / "run.json").read_text())["shared"]


@pytest.fixture
def warm(sweep: Path, tmp_path: Path) -> Path:
    """Another outputs folder with the sweep's cache, and the run that job 2 starts from."""
    base.forget()
    shutil.copytree(sweep / "cache", tmp_path / "cache")
    shutil.copytree(sweep / "runs" / "job0", tmp_path / "runs" / "job0")
    return tmp_path


@pytest.mark.parametrize(
    "numbers", [*(pytest.param([number], marks=pytest.mark.slow) for number in (3, 1)), [0, 2]], ids=str
)  # job 2 goes on from job 0
def test_a_job_of_a_sweep_equals_the_job_alone(sweep: Path, tmp_path: Path, numbers: list[int]) -> None:
    for number in numbers:
        base.forget()
        alone = job(tmp_path, number, "cache_gb=0").path
        assert shared(alone) == {"base model": "loaded"}
        assert outcome(sweep / "runs" / f"job{number}") == outcome(alone)
    assert not (tmp_path / "cache" / "shared").exists()


def test_what_jobs_have_in_common_is_computed_once(sweep: Path) -> None:
    taken = [shared(sweep / "runs" / f"job{number}") for number in range(4)]
    assert [found["base model"] for found in taken] == ["loaded", "memory", "memory", "memory"]
    assert [found["measurement before training"] for found in taken] == ["computed", "computed", "computed", "cache"]
    assert taken[0]["tokenized conversations"] == "computed"
    pairs = [[found[name] for name in sorted(CACHED - {"measurement before training"})] for found in taken[1:]]
    assert pairs == [["computed", "computed"], ["computed", "cache"], ["cache", "cache"]]


def test_a_warm_cache_equals_a_cold_one(sweep: Path, warm: Path, capsys: Any) -> None:
    for number in (1, 2, 0):
        if number == 0:
            shutil.rmtree(warm / "runs" / "job0")
        capsys.readouterr()
        done = job(warm, number).path
        assert outcome(done) == outcome(sweep / "runs" / f"job{number}")
        lines = [line for line in capsys.readouterr().out.splitlines() if "taken from earlier work" in line]
        assert len(lines) == 1
        found = {kind: where for kind, where in shared(done).items() if where != "loaded"}
        assert all(f"{kind} ({where})" in lines[0] for kind, where in found.items())
        assert found.pop("base model", "loaded") == ("loaded" if number == 1 else "memory")
        assert set(found.values()) == {"cache"}
        assert len(found) == (2 if number == 0 else 3)


@pytest.mark.parametrize(
    ("override", "again"),
    [
        ("trainer.beta=0.2", set()),
        pytest.param("adapter.rank=2", set(), marks=pytest.mark.slow),
        pytest.param("trainer.loss_type=ipo", set(), marks=pytest.mark.slow),
        ("hardware.dtype=bfloat16", CACHED - {"tokenized pairs"}),
        pytest.param("hardware.packing=off", CACHED - {"tokenized pairs"}, marks=pytest.mark.slow),
        ("hardware.eval_batch_size=3", set()),  # still one step of four pairs
        ("hardware.eval_batch_size=5", {"reference log-probabilities"}),
        ("dataset.max_train_records=8", {"tokenized pairs", "reference log-probabilities"}),
        pytest.param("trainer.max_length=200", CACHED, marks=pytest.mark.slow),
        ("model.chat_template=auto", set()),
        ("evaluation.max_new_tokens=3", {"measurement before training"}),
    ],
)
def test_what_depends_on_a_key_is_computed_again(warm: Path, override: str, again: set[str]) -> None:
    done = job(warm, 3, override, "trainer.max_steps=1")
    taken = {kind: where for kind, where in shared(done.path).items() if kind != "base model"}
    assert {kind for kind, where in taken.items() if where != "cache"} == again
    assert set(taken) == CACHED


def test_the_references_are_those_of_trl(typed: Callable[..., Any], tmp_path: Path, bytes_tokenizer: Any) -> None:
    """The columns that the trainer reads, from TRL alone, from a cold cache and from a warm one."""
    import torch

    from edu_align.cache.run_cache import RunCache
    from edu_align.data.datamodule import training_data
    from edu_align.models.base_model import build_model
    from edu_align.models.device import resolve
    from edu_align.models.locate import locate
    from edu_align.packing.decoder import install_packing
    from edu_align.training.dpo import build_dpo
    from edu_align.training.dpo_rows import COLUMNS
    from edu_align.training.rows import make_rows

    config = typed("trainer=dpo", f"outputs_root={tmp_path}", "trainer.max_length=150")
    data, device = training_data(config, set()), resolve(config)
    location = locate(config.model, tmp_path, config.seed)

    def columns(shared: Any) -> list[Any]:
        model = build_model(config, location, device, None)
        with torch.no_grad():  # an adapter that says something
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(len(name)))
        install_packing("on", model)
        sets = (config, model, bytes_tokenizer, *make_rows(config, bytes_tokenizer, data, shared), device, tmp_path)
        trainer = build_dpo(*sets, shared) if shared else build_dpo(*sets)
        names = [*COLUMNS, "ref_chosen_logps", "ref_rejected_logps"]
        both = (trainer.train_dataset.select_columns(names), trainer.eval_dataset.select_columns(names))
        return [trainer.data_collator(list(rows)) for rows in both]

    trl = columns(None)
    for where in ("computed", "cache"):
        shared = RunCache(config, location, device)
        ours = columns(shared)
        assert set(shared.origins.values()) == {where}
        for one, other in zip(trl, ours, strict=True):
            assert one.keys() == other.keys()
            assert all(torch.equal(one[key], other[key]) and one[key].dtype == other[key].dtype for key in one)
    assert trl[0]["ref_chosen_logps"].abs().min() > 0


def test_a_damaged_reference_is_computed_again(sweep: Path, warm: Path, capsys: Any) -> None:
    for path in (warm / "cache" / "shared" / "reference log-probabilities").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    capsys.readouterr()
    done = job(warm, 1)
    assert shared(done.path)["reference log-probabilities"] == "computed"
    assert "dropping a damaged file of the cache" in capsys.readouterr().err
    assert outcome(done.path) == outcome(sweep / "runs" / "job1")


@pytest.mark.parametrize("kept", ["cache_gb=1", pytest.param("cache_gb=0", marks=pytest.mark.slow)])
def test_a_forked_job_leaves_nothing_that_another_takes(sweep: Path, warm: Path, tmp_path: Path, kept: str) -> None:
    """Processes that fork draw the same names for their files, and this one has another reference model."""
    job(tmp_path / "other", 3, kept)
    shutil.rmtree(warm / "cache")
    assert in_child(lambda: job(warm, 2, kept)) == 0
    assert outcome(warm / "runs" / "job2") == outcome(sweep / "runs" / "job2")
    job(tmp_path / "another", 1, kept)
    assert outcome(tmp_path / "another" / "runs" / "job1") == outcome(sweep / "runs" / "job1")


def test_full_fine_tuning_between_two_jobs_changes_neither(sweep: Path, tmp_path: Path) -> None:
    words = ["adapter=full", "adapter.rank=0", "adapter.alpha=0"]
    base.forget()
    job(tmp_path, 3)
    full = job(tmp_path, 1, *words, "run_name=full")
    assert "base model" not in shared(full.path)
    assert shared(job(tmp_path, 1).path)["base model"] == "loaded"
    assert outcome(tmp_path / "runs" / "job1") == outcome(sweep / "runs" / "job1")


def numbers(outputs: Path, jobs: str, *overrides: str) -> list[list[float]]:
    program = [sys.executable, "-m", "tests.scenarios.sweeping", str(outputs), jobs, *overrides]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line[4:]) for line in done.stdout.splitlines() if line.startswith("JOB ")]


@pytest.mark.slow
def test_jobs_equal_those_of_processes_of_their_own(sweep: Path, tmp_path: Path) -> None:
    for number in range(len(JOBS)):
        numbers(tmp_path, str(number))
        assert outcome(tmp_path / "runs" / f"job{number}") == outcome(sweep / "runs" / f"job{number}")


@pytest.mark.slow
def test_two_processes_that_start_at_once_share_what_they_need(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.scenarios.sweeping", str(tmp_path)]
    started = [subprocess.Popen([*program, number], stdout=subprocess.DEVNULL) for number in ("10", "20")]
    assert [process.wait(300) for process in started] == [0, 0]
    taken = [shared(path.parent) for path in (tmp_path / "runs").glob("*/run.json")]
    for kind in CACHED:  # training and validation rows may have been computed by one process each
        once = [["cache", "computed"], ["partly cache", "partly cache"]]
        assert sorted(found[kind] for found in taken) in once


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("trainer=sft",), ("tracking=wandb", "tracking.mode=offline")])
def test_memory_after_20_jobs_is_that_after_3(tmp_path: Path, words: tuple[str, ...]) -> None:
    found = numbers(tmp_path, ",".join(str(number) for number in range(10, 30)), *words)
    memory = [entry[3] for entry in found]
    assert memory[5] <= memory[2] * 1.03, memory
    assert memory[19] <= memory[2] * 1.05, memory
    if not words:
        assert min(seconds - trained for _, seconds, trained, _ in found[1:]) < 1.0
