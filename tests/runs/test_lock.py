"""The lock on a run's folder: held by the living, taken over from the dead, and by one of several at once."""

import json
import multiprocessing
import os
import signal
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from edu_align.runs import lock as module
from edu_align.runs.lock import Held, Lock, holder, newest
from edu_align.runs.process import Process, this_process, ticking
from tests.killing import in_child, until


def test_a_living_holder_is_named_and_a_released_lock_is_free(tmp_path: Path) -> None:
    with Lock(tmp_path):
        found = holder(tmp_path)
        assert found is not None
        assert found.pid == os.getpid()
        with pytest.raises(Held, match=rf"worked on by process {os.getpid()} on \S+\. Wait for it, or stop it"):
            Lock(tmp_path)
    assert holder(tmp_path) is None
    Lock(tmp_path).release()
    assert [path.name for path in tmp_path.iterdir()] == [".lock.2"]


def test_a_starter_whose_aside_file_was_cleared_away_tries_again(tmp_path: Path, monkeypatch: Any) -> None:
    """The winner of a race removes what lies aside, also that of a slower starter which lives."""
    link = os.link
    aside: list[Path] = []

    def slow(source: Path, target: Path) -> None:
        if not aside:
            Path(source).unlink()
        aside.append(Path(source))
        link(source, target)

    monkeypatch.setattr(os, "link", slow)
    with Lock(tmp_path) as taken:
        assert taken.path == tmp_path / ".lock.1"
    assert len(aside) == 2


def test_it_is_let_go_of_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Lock(tmp_path):
        raise KeyboardInterrupt
    assert holder(tmp_path) is None


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    def die() -> None:
        Lock(tmp_path)
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(die) == -signal.SIGKILL
    assert newest(tmp_path) == tmp_path / ".lock.1"
    with Lock(tmp_path) as taken:
        assert taken.path == tmp_path / ".lock.2"
    assert not (tmp_path / ".lock.1").exists()


def write(folder: Path, found: Process, age: float = 0.0) -> None:
    file = folder / ".lock.1"
    file.write_text(json.dumps(asdict(found)))
    os.utime(file, (time.time() - age, time.time() - age))


def test_a_pid_that_was_given_to_another_process_holds_nothing(tmp_path: Path) -> None:
    own = this_process()
    write(tmp_path, own)
    assert holder(tmp_path) == own
    write(tmp_path, replace(own, ticks=1))
    assert holder(tmp_path) is None


@pytest.mark.cases("D8")
def test_a_clock_that_steps_takes_nothing_from_the_living(tmp_path: Path) -> None:
    """A step of the clock moves every start in seconds since 1970, and no tick since boot."""
    own = this_process()
    write(tmp_path, replace(own, started=own.started - 10))
    assert holder(tmp_path) is not None
    old = {key: value for key, value in asdict(own).items() if key != "ticks"}  # as an earlier version wrote it
    for started, lives in ((own.started, True), (own.started - 100, False)):
        (tmp_path / ".lock.1").write_text(json.dumps(old | {"started": started}))
        assert (holder(tmp_path) is not None) is lives


@pytest.mark.cases("D8")
@pytest.mark.parametrize("age", [3600.0, -3600.0])
def test_one_on_another_machine_that_is_silent_by_the_clock_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: float
) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.05)
    write(tmp_path, replace(this_process(), host="elsewhere", machine="elsewhere boot pid"), age)
    with ticking(lambda: os.utime(tmp_path / ".lock.1", (time.time() - age,) * 2), 0.05):
        assert holder(tmp_path) is not None
    until(lambda: holder(tmp_path) is None, 10)


def test_on_another_machine_the_heartbeat_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.05)
    there = replace(this_process(), host="elsewhere", machine="elsewhere boot pid")
    write(tmp_path, there, age=module.DEAD_SECONDS - 10)
    with pytest.raises(Held, match=rf"by process {there.pid} on elsewhere"):
        Lock(tmp_path)
    write(tmp_path, there, age=module.DEAD_SECONDS + 1)
    Lock(tmp_path).release()


def test_a_lock_without_text_is_one_that_is_being_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.05)
    (tmp_path / ".lock.1").touch()
    with pytest.raises(Held):
        Lock(tmp_path)
    os.utime(tmp_path / ".lock.1", (0, 0))
    Lock(tmp_path).release()


def test_the_heart_beats_and_notices_a_takeover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.02)
    taken = Lock(tmp_path)
    os.utime(taken.path, (0, 0))
    until(lambda: taken.path.stat().st_mtime > 1, 10)
    assert not taken.lost
    (tmp_path / ".lock.2").write_text(json.dumps(asdict(replace(this_process(), host="elsewhere", machine="there"))))
    until(lambda: taken.lost, 10)
    taken.release()
    assert holder(tmp_path) is not None


@pytest.mark.parametrize("first", ["nobody", "a dead process", "one that let go"])
def test_of_many_starters_one_at_a_time_wins(tmp_path: Path, first: str) -> None:
    """Five processes take, hold and release it over and over; inside, a file that only one may create proves it."""
    if first == "a dead process":
        write(tmp_path, replace(this_process(), ticks=1))
    if first == "one that let go":
        Lock(tmp_path).release()
    begin = time.time() + 0.3
    children = []
    for _ in range(5):
        children.append(multiprocessing.get_context("fork").Process(target=compete, args=(tmp_path, begin)))
        children[-1].start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 5
    assert len((tmp_path / "won").read_text()) == 25


def compete(folder: Path, begin: float) -> None:
    """Five turns with the lock. Errors: somebody else was inside at the same time, or it takes 30 s."""
    time.sleep(max(0.0, begin - time.time()))
    won, end = 0, time.monotonic() + 30
    while won < 5:
        assert time.monotonic() < end
        try:
            with Lock(folder):
                os.close(os.open(folder / "inside", os.O_CREAT | os.O_EXCL))
                with (folder / "won").open("a") as file:
                    file.write("x")
                time.sleep(0.001)
                (folder / "inside").unlink()
                won += 1
        except Held:
            time.sleep(0.002)
