"""Which process works on something, whether it lives, and what a process does in the background to show that it does.

Locks of runs and the jobs of sweeps name a process by its machine, its id and its start, since ids are used again. The
start is counted in ticks since the machine booted, which no step of the clock moves. A process of another machine
cannot be looked up: its file there is touched every few seconds, and counts as left when it is not any more.
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

CLOCK_SLACK = 2.0  # seconds that two readings of one process' start by the clock may differ by
HEARTBEAT = 15.0  # seconds between two signs of life of a sweep's running job
HEARTBEAT_TIMEOUT = 120.0  # seconds without one after which a job on another machine counts as dead
STATE, START = 0, 19  # fields of /proc/<pid>/stat behind the program's name (proc_pid_stat(5))


@dataclass(frozen=True)
class Process:
    """`machine` tells one boot and one pid namespace from another; pid 0: nobody.

    `ticks`: its start since boot; None where the system does not say, and in records made before these were kept. Then
    `started` counts, in seconds since 1970.
    """

    host: str
    machine: str
    pid: int
    started: float
    ticks: int | None = None


def this_process() -> Process:
    ticks = _ticks(os.getpid())
    return Process(socket.gethostname(), machine(), os.getpid(), _started(os.getpid()), ticks)


def machine() -> str:
    """This boot of this machine, and the pid namespace that its pids are from (a container has its own)."""
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    try:
        return f"{socket.gethostname()} {boot.read_text().strip()} {os.readlink(space)}"
    except OSError:
        return socket.gethostname()


def runs_here(pid: int, started: float, ticks: int | None = None) -> bool:
    """Whether that process of this machine still lives, and is not another one that was given its pid."""
    import psutil

    try:
        if ticks is not None and (found := _ticks(pid)) is not None:
            return found == ticks
        process = psutil.Process(pid)
        same = ticks is not None or abs(process.create_time() - started) <= CLOCK_SLACK
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None where it is gone, has ended, or cannot be looked up."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[STATE] in (b"Z", b"X") else int(fields[START])


def _started(pid: int) -> float:
    import psutil

    return float(psutil.Process(pid).create_time())


def who() -> dict[str, Any]:
    """This process, as a job's file and sweep.json name it."""
    found = this_process()
    return {
        "host": found.host, "machine": found.machine, "pid": found.pid, "began": found.started, "ticks": found.ticks
    }  # fmt: skip


def is_alive(path: Path, job: dict[str, Any]) -> bool:
    """Whether a process runs this job of a sweep now: here by its id and start, elsewhere by its last sign of life."""
    if job.get("state") != "running" or job.get("pid") is None:
        return False
    here = machine() if "machine" in job else socket.gethostname()
    if job.get("machine", job.get("host")) != here:
        return path.exists() and age(path) < HEARTBEAT_TIMEOUT
    return job.get("began") is not None and runs_here(job["pid"], job["began"], job.get("ticks"))


def age(path: Path) -> float:
    """Seconds since a file was touched, by the clock that stamps files beside it (a server's, on a network)."""
    probe = path.with_name(f".clock.{os.getpid()}.{threading.get_ident()}")
    try:
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink(missing_ok=True)
    except OSError:
        now = time.time()
    return max(0.0, now - path.stat().st_mtime)


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
