"""Faults at the write steps of the code under test, by Python's audit hooks: the package knows nothing of them.

A write step is what changes the disk: opening a file to write, renaming, linking, removing, making a folder, cutting a
file back, syncing. An audit hook sees it before it happens and can die there, or raise what a disk would say.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STEPS = {"os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.utime"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass
class Faults:
    """Steps below `root`, in their order; at the one with index `at` and all after it, `act(event)` is called."""

    root: Path
    at: int | None = None
    act: Callable[[str], Any] | None = None
    seen: list[str] = field(default_factory=list)

    def step(self, event: str, path: str) -> None:
        self.seen.append(f"{event} {Path(path).name}")
        if self.act is not None and self.at is not None and len(self.seen) > self.at:
            self.act(event)


_active: list[Faults] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _active or not (event in STEPS or (event == "open" and _writes(arguments))):
        return
    path = arguments[0]
    if isinstance(path, str | bytes | os.PathLike):
        path = os.fsdecode(path)
        if path.startswith(str(_active[-1].root)):
            created = event != "open" or (isinstance(arguments[2], int) and arguments[2] & os.O_CREAT)
            _active[-1].step(event if created else "rewrite", path)


def _writes(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    return any(sign in mode for sign in "wax+") if isinstance(mode, str) else bool((flags or 0) & WRITING)


@contextmanager
def faults(root: Path, at: int | None = None, act: Callable[[str], Any] | None = None) -> Iterator[Faults]:
    """Count the steps of the block, and let `act` happen from one of them on."""
    if not getattr(sys, "edu_align_faults", False):
        sys.addaudithook(_hook)  # there is no way to remove one
        sys.edu_align_faults = True  # type: ignore[attr-defined]
    found, sync = Faults(root, at, act), os.fsync

    def synced(handle: int) -> None:
        found.step("fsync", os.readlink(f"/proc/self/fd/{handle}"))
        sync(handle)

    _active.append(found)
    os.fsync = synced
    try:
        yield found
    finally:
        os.fsync = sync
        _active.pop()


def die(event: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def full(event: str) -> None:
    """What is new is refused; renaming, removing and writing over what is there go on."""
    if event in ("open", "os.mkdir", "os.link", "fsync"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
