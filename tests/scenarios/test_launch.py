"""The same command again: what is finished is returned, what failed is tried again, what is another's is refused."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.runs.folder import find_run
from edu_align.runs.lock import Lock
from edu_align.training.callbacks import Recorder
from edu_align.utils.errors import UserError
from tests.conftest import TINY

UNMEASURED = "evaluation.enabled=false"
Launch = Callable[..., Any]


@pytest.fixture
def launch(go: Launch) -> Launch:
    """`launch("seed=1")`: run the tiny SFT config in a place of its own."""
    return lambda *words: go("trainer=sft", UNMEASURED, *words)


def names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "runs").iterdir())


def fail(launch: Launch, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    """A launch that breaks in its first step."""

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("boom")

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "on_step_end", broken)
        with pytest.raises(RuntimeError, match="boom"):
            launch(*words)


def test_a_finished_run_is_returned_with_its_metrics(launch: Any, tmp_path: Any, capsys: Any, monkeypatch: Any) -> None:
    first = launch()
    assert first.path.name == f"sft-edu_tutor-tiny-{first.record['id']}"
    capsys.readouterr()
    monkeypatch.setattr(Recorder, "on_train_begin", lambda *_, **__: pytest.fail("it was trained again"))
    again = launch("hardware.eval_batch_size=2", "tracking.project=other", "objective=train/steps")
    assert again.path == first.path
    assert again.record == json.loads((first.path / "run.json").read_text())
    out = capsys.readouterr().out
    assert f"this run is finished already ({first.record['id']}" in out
    assert f"training loss {first.record['metrics']['train/loss']:.4g} on average over 3 steps" in out
    assert "other code" not in out
    assert names(tmp_path) == [first.path.name]


def test_nothing_heavy_is_imported_for_a_finished_run(launch: Launch, tmp_path: Path) -> None:
    first = launch()
    words = [*TINY, "trainer=sft", UNMEASURED, f"outputs_root={tmp_path}", "data_root=null"]
    code = (
        "import sys, edu_align.train\n"
        f"sys.argv = ['train', *{words!r}]\n"
        "edu_align.train.main()\n"
        "print({'torch', 'transformers', 'trl', 'datasets'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"finished already ({first.record['id']}" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()"


def test_other_code_is_reported(launch: Launch, capsys: Any) -> None:
    folder = launch("run_name=old")
    folder.save(versions={**folder.record["versions"], "trl": "0.1"})
    capsys.readouterr()
    launch("run_name=old")
    said = r"edu_align: other code made it \(trl 0\.1 then, \S+ now\); force=true runs it again"
    assert re.search(said, capsys.readouterr().out)


def test_force_starts_over_beside_it_and_is_what_is_found(launch: Launch, tmp_path: Path) -> None:
    first = launch("run_name=it")
    kept = (first.path / "metrics.jsonl").read_bytes()
    second, third = launch("run_name=it", "force=true"), launch("run_name=it", "force=true")
    assert [second.path.name, third.path.name] == ["it-2", "it-3"]
    assert (first.path / "metrics.jsonl").read_bytes() == kept
    assert launch("run_name=it").path == third.path
    assert find_run("run", first.record["id"][:6], tmp_path).path == third.path


def test_without_a_name_a_finished_run_is_found_under_any(launch: Launch, tmp_path: Path, monkeypatch: Any) -> None:
    fail(launch, monkeypatch, "run_name=failed")
    first = launch("run_name=it")
    assert launch().path == first.path
    assert launch("run_name=other").path != first.path
    assert launch("trainer.learning_rate=2e-3").path.name.startswith("sft-edu_tutor-tiny-")
    assert len(names(tmp_path)) == 4


def test_a_name_that_is_taken_by_another_run_says_what_differs(launch: Launch) -> None:
    first = launch("run_name=it")
    said = r"`run_name=it`: .*what differs: adapter\.alpha \(8 there, 16 here\)\).*another run_name.*force=true"
    with pytest.raises(UserError, match=said):
        launch("run_name=it", "adapter.alpha=16")
    other = launch("run_name=it", "adapter.alpha=16", "force=true")
    assert other.path.name == "it-2"
    assert launch("run_name=it", "adapter.alpha=16").path == other.path
    assert launch("run_name=it").path == first.path
    with pytest.raises(UserError, match=r"generation_seed \(42 there, 3 here\); the data's content\)"):
        launch("run_name=it", "dataset.generation_seed=3")


def test_a_name_that_is_taken_by_something_else_is_refused(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "runs" / "notes").mkdir(parents=True)
    (tmp_path / "runs" / "notes" / "mine.txt").touch()
    with pytest.raises(UserError, match=r"`run_name=notes`: .* exists already and is no run"):
        launch("run_name=notes")


def test_a_failed_run_is_tried_again_and_its_error_kept(launch: Launch, tmp_path: Path, monkeypatch: Any) -> None:
    """And the W&B run that it began is gone on with."""
    words = ["run_name=it", "tracking=wandb", "tracking.mode=offline"]

    for _ in range(2):
        fail(launch, monkeypatch, *words)
    known = json.loads((tmp_path / "runs" / "it" / "run.json").read_text())["wandb_id"]
    done = launch(*words)
    assert done.record["state"] == "finished"
    assert done.record["wandb_id"] == known
    assert "error" not in done.record
    attempts = done.record["attempts"]
    assert [(a["state"], a["error"]) for a in attempts] == [("failed", "RuntimeError: boom")] * 2
    assert all(a["started"] and a["seconds"] > 0 for a in attempts)
    assert done.record["seconds"] > sum(a["seconds"] for a in attempts)


def test_a_run_that_goes_on_elsewhere_is_refused(launch: Launch, tmp_path: Path, monkeypatch: Any) -> None:
    fail(launch, monkeypatch, "run_name=it")
    with Lock(tmp_path / "runs" / "it"), pytest.raises(UserError, match=rf"by process {os.getpid()} on \S+\."):
        launch("run_name=it")
    assert launch("run_name=it").record["state"] == "finished"


def test_what_a_run_starts_from_is_part_of_it(launch: Launch) -> None:
    one, two = launch("run_name=one"), launch("run_name=two", "trainer.learning_rate=2e-3")
    assert one.record["id"] != two.record["id"]
    on_one, on_two = (launch("trainer=sft", f"init_from={run.record['id']}") for run in (one, two))
    assert on_one.record["parent"] == one.record["id"]
    assert on_one.record["id"] != on_two.record["id"]
    assert launch(f"init_from={one.path}").path == on_one.path


def test_a_changed_file_is_another_run(launch: Launch, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    row = '{"messages": [{"role": "user", "content": "%s?"}, {"role": "assistant", "content": "yes"}]}'
    words = ["dataset=local", f"dataset.path={file}", "dataset.size=1500"]
    file.write_text("\n".join(row % i for i in range(30)))
    first = launch(*words)
    assert launch(*words).path == first.path
    file.write_text(file.read_text().replace("yes", "no", 1))
    os.utime(file, (time.time() + 5, time.time() + 5))
    assert launch(*words).path != first.path
