"""Real file systems that are full, read-only or damaged under a run of the tiny model: needs root, to mount them."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edu_align.runs.checkpoints import CheckpointStore, checkpoints, damage_of
from edu_align.runs.folder import RunFolder
from edu_align.training.callbacks import Recorder
from edu_align.training.run import run
from edu_align.utils.errors import UserError
from tests.killing import in_child, killed_at, outcome

WORDS = ["trainer=dpo", "trainer.max_steps=8", "trainer.save_steps=2", "trainer.eval_steps=4", "run_name=it"]
SIZE = 16 << 20  # bytes of the file system; a run of the tiny model takes some 700 KB


@contextmanager
def mounted(place: Path) -> Iterator[Path]:
    """A small file system in memory. Skips where this process may not mount one."""
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("no file system can be mounted here (it takes root)")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def remount(place: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True)


@contextmanager
def in_step_5(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> Iterator[None]:
    """Let it happen when a run of the block has done five steps."""
    original = Recorder.on_step_begin

    def begin(self: Any, args: Any, state: Any, control: Any, **rest: Any) -> None:
        original(self, args, state, control, **rest)
        if state.global_step == 5:
            happens()

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "on_step_begin", begin)
        yield


@pytest.fixture(scope="module")
def whole(tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the run leaves where nothing goes wrong."""
    return outcome(run(tiny(*WORDS, f"outputs_root={tmp_path_factory.mktemp('whole')}")).path)


def fill(place: Path, left: int) -> Path:
    """Leave `left` bytes."""
    file = place / "filler"
    file.write_bytes(bytes(shutil.disk_usage(place).free - left))
    return file


def ends(work: Callable[[], Any]) -> int:
    """The exit code of a command that does `work`: 2 for an error that the user can mend."""

    def command() -> None:
        try:
            work()
        except UserError as error:
            print(f"edu_align: error: {error}", flush=True)
            raise SystemExit(2) from None

    return in_child(command)


def on_a_full_disk(tiny: Callable[..., Any], place: Path, left: int, whole: dict[str, Any], capfd: Any) -> str:
    """A run with `left` bytes ends with one error or without a checkpoint, and goes on once there is room."""
    config = tiny(*WORDS, f"outputs_root={place}")
    filler = fill(place, left)
    capfd.readouterr()
    code = ends(lambda: run(config))
    said = "".join(capfd.readouterr())
    assert code in (0, 2), said
    folder = place / "runs" / "it"
    if code == 2:
        assert said.count("edu_align: error: ") == 1
        assert "nothing more can be written there (No space left on device). Make room there (" in said
        assert "Traceback" not in said
        record = json.loads((folder / "run.json").read_text()) if (folder / "run.json").exists() else {}
        assert record.get("state") in (None, "failed", "running")
        assert record.get("state") != "running" or "still says running" in said
        kept = checkpoints(folder / "checkpoints")
        assert not kept or damage_of(kept[max(kept)]) == ""
    assert not list(folder.glob(".*.json.*"))
    filler.unlink()
    assert outcome(run(config).path) == whole
    return said


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk") as place:
        yield place


@pytest.mark.parametrize("left", [0, pytest.param(180_000, marks=pytest.mark.slow)])
def test_a_full_disk_costs_nothing_but_the_time(tiny: Any, disk: Path, whole: Any, capfd: Any, left: int) -> None:
    assert "No space left on device" in on_a_full_disk(tiny, disk, left, whole, capfd)


@pytest.mark.slow
def test_a_disk_that_is_full_at_any_size(tiny: Any, tmp_path: Path, whole: Any, capfd: Any) -> None:
    """From no room to enough, in steps of 40 KB: the run's folder, the first checkpoint, the second, the adapter."""
    refused = 0
    for left in range(0, 1_000_000, 40_000):
        with mounted(tmp_path / str(left)) as place:
            refused += "No space left on device" in on_a_full_disk(tiny, place, left, whole, capfd)
    assert 5 < refused < 25
    with capfd.disabled():
        print(f"\n{refused} of 25 sizes were too small; every run ended with the same bytes once there was room")


def test_a_disk_that_fills_up_while_training(tiny: Any, disk: Path, whole: Any, capfd: Any, monkeypatch: Any) -> None:
    """After step 4 no checkpoint and no adapter fits any more; the one of step 4 stays, and is gone on from."""
    config = tiny(*WORDS, f"outputs_root={disk}")
    with in_step_5(monkeypatch, lambda: fill(disk, 0)):
        assert ends(lambda: run(config)) == 2
    said = "".join(capfd.readouterr())
    assert "no checkpoint at step 6 (" in said
    assert said.count("edu_align: error: ") == 1
    folder = disk / "runs" / "it"
    kept = checkpoints(folder / "checkpoints")
    assert max(kept) == 4
    assert not (folder / "adapter").exists()
    (disk / "filler").unlink()
    assert outcome(run(config).path) == whole
    assert f"going on from {kept[4]}" in capfd.readouterr().out


def test_a_disk_that_becomes_read_only(tiny: Any, disk: Path, whole: Any, capfd: Any, monkeypatch: Any) -> None:
    """As ext4 after an error of the device: first in the middle of a run, then at a start."""
    config = tiny(*WORDS, f"outputs_root={disk}")
    with in_step_5(monkeypatch, lambda: remount(disk, "ro")):
        assert ends(lambda: run(config)) == 2
    said = "".join(capfd.readouterr())
    assert "nothing more can be written there (Read-only file system" in said
    assert "run.json still says running" in said
    assert "Traceback" not in said
    assert ends(lambda: run(config)) == 2
    assert "Make it readable and writable, or name another folder." in "".join(capfd.readouterr())
    remount(disk, "rw")
    done = run(config)
    assert [attempt["state"] for attempt in done.record["attempts"]] == ["killed"]
    assert outcome(done.path) == whole


def test_every_kind_of_damage_to_every_file_of_a_checkpoint(go: Any, tmp_path: Path, whole: Any, capfd: Any) -> None:
    """The newest good one is used and the bad ones are named, down to none; what follows has the same bytes."""
    words = [*WORDS, "trainer.save_total_limit=3"]
    with killed_at("on_step_end", 7):
        assert in_child(lambda: go(*words)) == -9
    folder = tmp_path / "runs" / "it"
    place = folder / "checkpoints"
    kept = {step: place / f"checkpoint-{step}" for step in (2, 4, 6)}
    progress = CheckpointStore(RunFolder(folder, {}))
    files = sorted(path.name for path in kept[6].iterdir())
    assert len(files) == 9
    for name in files:
        good = (kept[6] / name).read_bytes()
        flipped = bytes([good[0] ^ 1]) + good[1:]
        for bad in (good[: len(good) // 2], b"", flipped):
            (kept[6] / name).write_bytes(bad)
            assert progress.resume()[1] == kept[4]
            said = capfd.readouterr().out
            assert f"{kept[6]} is damaged (" in said
            assert name in said
        (kept[6] / name).write_bytes(good)
    (kept[6] / "optimizer.pt").write_bytes(b"")
    os.truncate(kept[4] / "trained.safetensors", 100)
    (place / "before.json").write_bytes(b"{")  # the checkpoint has its copy
    assert outcome(go(*words).path) == whole
    said = capfd.readouterr().out
    assert f"going on from {kept[2]}" in said
    assert said.count("is damaged") == 2


def test_with_nothing_good_left_it_starts_over(go: Any, tmp_path: Path, whole: Any, capfd: Any) -> None:
    with killed_at("on_step_end", 5):
        assert in_child(lambda: go(*WORDS)) == -9
    place = tmp_path / "runs" / "it" / "checkpoints"
    for path in (*place.glob("checkpoint-*/trained.safetensors"), place / "before.json"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert outcome(go(*WORDS).path) == whole
    said = capfd.readouterr().out
    assert "before.json is damaged and is skipped: what it held is measured again" in said
    assert "going on from" not in said
