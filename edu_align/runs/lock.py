"""Who works in a run's folder: one process at a time, on one machine or on several that share the folder.

The lock is the file `.lock.<n>` with the highest n. Whoever finds its holder dead or gone creates `.lock.<n+1>`, which
only one can, and then looks again: where a higher one is there by then, it was too slow. The highest file is never
deleted, only marked as released, so numbers are never used twice and of two starters one wins. It is a hard link to a
file that names its holder, so that no death on the way leaves a lock without one. Where the file system has no links,
all that is needed is that creating a file with O_EXCL is atomic; no flock, which shared ones often lack.
"""

import contextlib
import json
import os
import threading
import time
from dataclasses import asdict
from pathlib import Path

from edu_align.runs.process import Process, Ticker, is_touched, machine, runs_here, this_process
from edu_align.utils.errors import UserError

BEAT_SECONDS = 5  # between two signs of life
DEAD_SECONDS = 60  # without one: a holder on another machine counts as dead
PREFIX = ".lock."
NOBODY = Process("", "", 0, 0.0)


class Held(UserError):
    """Another process works in the folder."""


class Lock:
    """The lock of a folder that this process holds. Use as a context manager; `lost` says that another took it over."""

    def __init__(self, folder: Path) -> None:
        """Take the lock. Errors: `Held`, with host and pid of the process that has it."""
        self.path = _take(folder)
        self.lost = False
        self._released = False
        self._beats = Ticker(self._beat, BEAT_SECONDS)

    def release(self) -> None:
        """Let go of the folder. Does nothing the second time, nor where another has taken it over."""
        if self._released:
            return
        self._released = True
        self._beats.stop()
        with contextlib.suppress(OSError):  # on a disk that takes nothing any more, the end of this process says it
            if not self.lost and newest(self.path.parent) == self.path:
                _give_up(self.path)

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _beat(self) -> None:
        if self.lost:
            return
        with contextlib.suppress(OSError):  # a file system that is away for a while
            self.lost = newest(self.path.parent) != self.path
            os.utime(self.path)


def newest(folder: Path) -> Path | None:
    """The lock file that counts, None where there is none."""
    return max(_locks(folder), key=_number, default=None)


def holder(folder: Path) -> Process | None:
    """The living process that works in the folder, None where none does."""
    while (path := newest(folder)) is not None:
        try:
            return _living(path)
        except FileNotFoundError:  # a higher one has replaced it
            continue
    return None


def refuse_held(folder: Path) -> None:
    """Errors: `Held`, where another process works in the folder."""
    found = holder(folder)
    if found is not None:
        raise _held(folder, found)


def _held(folder: Path, found: Process) -> Held:
    return Held(
        f"{folder} is being worked on by process {found.pid} on {found.host}. Wait for it, or stop it. One that died "
        f"on another machine is taken over {DEAD_SECONDS} s after its last sign of life."
    )


def _take(folder: Path) -> Path:
    while True:
        before = newest(folder)
        try:
            found = None if before is None else _living(before)
        except FileNotFoundError:
            continue
        if found is not None:
            raise _held(folder, found)
        mine = folder / f"{PREFIX}{1 if before is None else _number(before) + 1}"
        try:
            _write(mine, this_process(), new=True)
        except (FileExistsError, FileNotFoundError):  # another one was first, or has cleared away what lay aside
            continue
        if newest(folder) != mine:
            mine.unlink(missing_ok=True)
            continue
        for path in (*_locks(folder), *folder.glob(f".*{PREFIX}*")):  # and what starters that died left aside
            if path.suffix[1:].isdigit() and _number(path) < _number(mine):
                path.unlink(missing_ok=True)
        return mine


def _living(path: Path) -> Process | None:
    """Whoever holds this lock file and lives. One whose file has no text yet is given the time to write it."""
    text = path.read_text(encoding="utf-8")
    try:
        found = Process(**json.loads(text))
    except (ValueError, TypeError):
        found = Process("a machine that has not said so yet", "", -1, 0.0)
    if found.pid == 0:
        return None
    if found.machine == machine():
        return found if runs_here(found.pid, found.started, found.ticks) else None
    alive = 0 <= _age(path) < DEAD_SECONDS or is_touched(path, BEAT_SECONDS)
    return found if alive else None


def _age(path: Path) -> float:
    """Seconds since the last sign of life, by the clock that stamps the folder's files (a server's, on a network)."""
    probe = path.with_name(f".clock.{os.getpid()}.{threading.get_ident()}")
    try:
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink(missing_ok=True)
    except OSError:
        now = time.time()
    return now - path.stat().st_mtime


def _write(path: Path, found: Process, new: bool = False) -> None:
    """Write aside, and link (`new`; errors: FileExistsError) or rename: a reader finds the old text or the new one."""
    aside = path.with_name(f".{os.getpid()}{path.name}")
    try:
        aside.write_text(json.dumps(asdict(found)), encoding="utf-8")
        if new:
            _link(aside, path)
        else:
            aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _give_up(path: Path) -> None:
    """Say that nobody holds the lock; on a full disk in the room that its text has."""
    try:
        _write(path, NOBODY)
    except OSError:
        with path.open("r+", encoding="utf-8") as file:
            file.write(json.dumps(asdict(NOBODY)))
            file.truncate()


def _link(aside: Path, mine: Path) -> None:
    try:
        os.link(aside, mine)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:  # no hard links here
        os.close(os.open(mine, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        aside.replace(mine)


def _locks(folder: Path) -> list[Path]:
    return [path for path in folder.glob(f"{PREFIX}*") if path.suffix[1:].isdigit()]


def _number(path: Path) -> int:
    return int(path.suffix[1:])
