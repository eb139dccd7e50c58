"""What is written is the old or the new, wherever the writer dies or the disk refuses: every step of every protocol."""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from edu_align.runs.checkpoints import CheckpointStore, damage_of
from edu_align.runs.folder import RunFolder
from edu_align.runs.lock import Lock
from edu_align.utils.errors import UserError
from edu_align.utils.files import disk_errors, remove_left_over, whole_folder
from tests.killing import in_child
from tests.scenarios.faults import die, faults, full


def started(place: Path) -> CheckpointStore:
    """A run with a measurement, a logged step, its checkpoint, and an adapter that an attempt before has left."""
    progress = CheckpointStore(RunFolder.create(place, {"number": 1}))
    progress.keep_before({"loss": 0.1})
    checkpoint(progress, 2)
    adapter(progress, b"old")
    return progress


def checkpoint(progress: CheckpointStore, step: int) -> None:
    progress.folder.append("metrics.jsonl", {"step": step})
    with progress.written_aside(step) as aside:
        (aside / "weights").write_bytes(bytes(3000))
    progress.keep_newest(step, 1)


def adapter(progress: CheckpointStore, content: bytes = b"new") -> None:
    with whole_folder(progress.folder.path / "adapter") as aside:
        (aside / "weights").write_bytes(content)
        (aside / "config").write_bytes(content)


WORK: dict[str, Callable[[CheckpointStore], object]] = {
    "a checkpoint": lambda progress: checkpoint(progress, 4),
    "before.json": lambda progress: progress.keep_before({"loss": 0.2}),
    "run.json": lambda progress: progress.folder.save(number=2),
    "the adapter": adapter,
    "the lock": lambda progress: Lock(progress.folder.path).release(),
}


def steps_of(place: Path, what: str, at: int | None = None, act: Callable[[str], object] | None = None) -> list[str]:
    """The steps of that work on a started run, with `act` from step `at` on."""
    progress = started(place)
    with faults(place, at, act) as found:
        WORK[what](progress)
    return found.seen


def check(place: Path) -> None:
    """Every file that has its name is whole, and the run goes on from a checkpoint, in a folder that is free."""
    assert json.loads((place / "run.json").read_text())["number"] in (1, 2)
    progress = CheckpointStore(RunFolder(place, {}))
    held = Lock(place)
    remove_left_over(place)
    before, newest = progress.resume()
    assert before in ({"loss": 0.1}, {"loss": 0.2})
    assert newest is not None
    assert newest.name in ("checkpoint-2", "checkpoint-4")
    assert damage_of(newest) == ""
    lines = (place / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == ([2] if newest.name == "checkpoint-2" else [2, 4])
    if (place / "adapter").exists():
        assert sorted(path.name for path in (place / "adapter").iterdir()) == ["config", "weights"]
        assert len({path.read_bytes() for path in (place / "adapter").iterdir()}) == 1
    left = {path.name for path in place.iterdir()} - {"run.json", "metrics.jsonl", "checkpoints", "adapter"}
    assert left == {held.path.name}
    assert {path.name for path in progress.place.iterdir()} <= {"before.json", "checkpoint-2", "checkpoint-4"}
    held.release()


@pytest.mark.parametrize("what", WORK)
def test_a_kill_before_every_step_leaves_the_old_or_the_new(tmp_path: Path, what: str) -> None:
    steps = steps_of(tmp_path / "counted", what)
    assert len(steps) >= 3
    for at, step in enumerate(steps):
        assert in_child(partial(steps_of, tmp_path / str(at), what, at, die)) == -9, step
        check(tmp_path / str(at))


@pytest.mark.parametrize("what", WORK)
def test_a_disk_that_is_full_from_any_step_on_leaves_the_old(tmp_path: Path, what: str) -> None:
    for at in range(len(steps_of(tmp_path / "counted", what))):
        place = tmp_path / str(at)
        with suppress(OSError):
            steps_of(place, what, at, full)
        assert not list(place.glob("checkpoints/.writing/*"))
        check(place)


def test_what_the_disk_said_is_one_error(tmp_path: Path) -> None:
    for error in (OSError(28, "No space left on device"), OSError(30, "Read-only file system", str(tmp_path / "a"))):
        said = r"nothing more can be written there \((No space|Read-only).*same command"
        with pytest.raises(UserError, match=said), disk_errors(tmp_path):
            raise error
    with pytest.raises(PermissionError), disk_errors(tmp_path):
        raise PermissionError(13, "Permission denied", "/data/rows.jsonl")
