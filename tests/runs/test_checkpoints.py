"""Checkpoints that cannot lie: what was damaged is named and skipped, what was not finished is not there."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.runs.checkpoints import MANIFEST, PROGRESS, CheckpointStore, checkpoints, damage_of
from edu_align.runs.folder import RunFolder


@pytest.fixture
def progress(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(RunFolder.create(tmp_path / "run", {}))


def keep(progress: CheckpointStore, step: int, line: str = "") -> Path:
    progress.folder.append("metrics.jsonl", {"step": step, "text": line})
    with progress.written_aside(step) as aside:
        (aside / "weights").write_bytes(os.urandom(5000))
        (aside / "state").write_bytes(b"s" * 10)
    return progress.place / f"checkpoint-{step}"


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (lambda c: os.truncate(c / "weights", 4999), "weights is not what was written"),
    "emptied": (lambda c: os.truncate(c / "weights", 0), "weights is empty"),
    "a bit": (lambda c: flip(c / "weights"), "weights is not what was written"),
    "a bit of the numbers": (lambda c: flip(c / PROGRESS), f"{PROGRESS} is not what was written"),
    "gone": (lambda c: (c / "state").unlink(), "state is missing"),
    "no manifest": (lambda c: (c / MANIFEST).unlink(), f"no readable {MANIFEST}"),
    "half a manifest": (lambda c: os.truncate(c / MANIFEST, 30), f"no readable {MANIFEST}"),
    "another manifest": (lambda c: (c / MANIFEST).write_text("{}"), f"{MANIFEST} does not list"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(progress: Any, capsys: Any, name: str) -> None:
    good, bad = keep(progress, 2), keep(progress, 4)
    assert damage_of(good) == damage_of(bad) == ""
    damage, told = DAMAGE[name]
    damage(bad)
    assert progress.resume() == (None, good)
    out = capsys.readouterr().out
    assert f"{bad} is damaged ({told}" in out
    assert "is skipped" in out
    assert bad.exists()  # until its step comes again
    keep(progress, 4)
    assert progress.resume() == (None, bad)


def test_files_are_cut_back_to_the_checkpoint_that_is_used(progress: CheckpointStore) -> None:
    keep(progress, 2)
    progress.folder.append("metrics.jsonl", {"step": 3})
    flip(keep(progress, 4) / "weights")
    progress.folder.append("samples.jsonl", {"step": 4})
    progress.resume()
    lines = (progress.folder.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2]
    assert (progress.folder.path / "samples.jsonl").read_text() == ""


def test_the_measurement_before_training_is_kept_to_the_bit(progress: CheckpointStore) -> None:
    measured = {"replies": [[[-1.0 / 3, -2e-300], [3, 4]]], "nll": [["g", 0.1 + 0.2, 7]], "samples": []}
    progress.folder.append("samples.jsonl", {"when": "before"})
    progress.keep_before(measured)
    progress.folder.append("samples.jsonl", {"when": "step_3"})
    assert progress.resume() == (measured, None)
    assert (progress.folder.path / "samples.jsonl").read_text().count("\n") == 1
    progress.remove()
    assert not progress.place.exists()


def test_the_newest_and_those_before_it_are_kept(progress: CheckpointStore) -> None:
    for step in (2, 4, 6, 12):
        keep(progress, step)
    progress.keep_newest(newest=6, most=2)  # 12 is of an attempt that went further and was damaged
    assert sorted(checkpoints(progress.place)) == [4, 6]
    progress.keep_newest(newest=6, most=1)
    assert sorted(checkpoints(progress.place)) == [6]
