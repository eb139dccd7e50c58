"""Which process works on something, whether it lives, and what a process does in the background to show that it does.

Locks of runs and the jobs of sweeps name a process by its host, its id and its start, since ids are used again. A
process of another machine cannot be looked up: its file there is touched every few seconds, and counts as left when it
is not any more.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLOCK_SLACK = 2.0  # seconds that two readings of one process' start may differ by
HEARTBEAT = 15.0  # seconds between two signs of life of a sweep's running job
HEARTBEAT_TIMEOUT = 120.0  # seconds without one after which a job on another machine counts as dead


@dataclass(frozen=True)
class Process:
    """`machine` tells one boot and one pid namespace from another; `started`: seconds since 1970; pid 0: nobody."""

    host: str
    machine: str
    pid: int
    started: float


def this_process() -> Process:
    import psutil

    return Process(socket.gethostname(), machine(), os.getpid(), psutil.Process().create_time())


def machine() -> str:
    """This boot of this machine, and the pid namespace that its pids are from (a container has its own)."""
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    try:
        return f"{socket.gethostname()} {boot.read_text().strip()} {os.readlink(space)}"
    except OSError:
        return socket.gethostname()


def runs_here(pid: int, started: float) -> bool:
    """Whether that process of this machine still lives, and is not another one that was given its pid."""
    import psutil

    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) <= CLOCK_SLACK
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def who() -> dict[str, Any]:
    """This process, as a job's file and sweep.json name it."""
    found = this_process()
    return {"host": found.host, "pid": found.pid, "began": found.started}


def is_alive(path: Path, job: dict[str, Any]) -> bool:
    """Whether a process runs this job of a sweep now: here by its id and start, elsewhere by its last sign of life."""
    if job.get("state") != "running" or job.get("pid") is None:
        return False
    if job.get("host") != socket.gethostname():
        return path.exists() and time.time() - path.stat().st_mtime < HEARTBEAT_TIMEOUT
    return job.get("began") is not None and runs_here(job["pid"], job["began"])


class Ticker:
    """Calls `work` every `seconds` in a thread until `stop`, which waits for a call in progress."""

    def __init__(self, work: Callable[[], object], seconds: float) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(work, seconds), name="edu_align ticker", daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], object], seconds: float) -> None:
        while not self._over.wait(seconds):
            work()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


@contextmanager
def ticking(work: Callable[[], object], seconds: float) -> Iterator[None]:
    """A `Ticker` while the block runs."""
    ticker = Ticker(work, seconds)
    try:
        yield
    finally:
        ticker.stop()


@contextmanager
def heartbeat(path: Path) -> Iterator[None]:
    """Touch a job's file every few seconds inside the block, so that other machines see that it runs."""

    def touch() -> None:
        if path.exists():
            path.touch()

    with ticking(touch, HEARTBEAT):
        yield
