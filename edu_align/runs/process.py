"""Which process works on something, whether it lives, and what a process does in the background to show that it does.

Locks of runs and the jobs of sweeps name a process by its machine, its id and its start, since ids are used again. The
start is counted in ticks since boot where the system says them (Linux): seconds since 1970 move with the clock. A
process of another machine cannot be looked up: its file there is touched every few seconds. One that is silent by the
clock, which may have been set, is watched for two beats before it counts as left.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLOCK_SLACK = 2.0  # seconds that two readings of one process' start may differ by
HEARTBEAT = 15.0  # seconds between two signs of life of a sweep's running job
HEARTBEAT_TIMEOUT = 120.0  # seconds without one after which a job on another machine counts as dead


@dataclass(frozen=True)
class Process:
    """`machine` tells one boot and one pid namespace from another; pid 0: nobody.

    `started`: seconds since 1970; `ticks`: of the kernel from the boot to its start, None where nothing says them.
    """

    host: str
    machine: str
    pid: int
    started: float
    ticks: int | None = None


def this_process() -> Process:
    import psutil

    pid = os.getpid()
    return Process(socket.gethostname(), machine(), pid, psutil.Process().create_time(), (_stat(pid) or ("", None))[1])


def _stat(pid: int) -> tuple[str, int] | None:
    """A process' state and the ticks from the boot to its start; None where it is gone, or there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def machine() -> str:
    """This boot of this machine, and the pid namespace that its pids are from (a container has its own)."""
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    try:
        return f"{socket.gethostname()} {boot.read_text().strip()} {os.readlink(space)}"
    except OSError:
        return socket.gethostname()


def runs_here(pid: int, started: float, ticks: int | None = None) -> bool:
    """Whether that process of this machine still lives, and is not another one that was given its pid.

    Records of earlier versions have no `ticks`.
    """
    import psutil

    if ticks is not None and Path("/proc/self/stat").exists():
        found = _stat(pid)
        return found is not None and found[1] == ticks and found[0] not in "ZX"
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
    return {
        "host": found.host, "machine": found.machine, "pid": found.pid, "began": found.started, "ticks": found.ticks,
    }  # fmt: skip


def is_alive(path: Path, job: dict[str, Any], watch: bool = False) -> bool:
    """Whether a process runs this job of a sweep now: here by its id and start, elsewhere by its last sign of life.

    `watch`: look for two beats where the clock says that the last sign is long ago; a report does not wait for that.
    """
    if job.get("state") != "running" or job.get("pid") is None:
        return False
    here = job["machine"] == machine() if job.get("machine") else job.get("host") == socket.gethostname()
    if here:
        return job.get("began") is not None and runs_here(job["pid"], job["began"], job.get("ticks"))
    try:
        age = time.time() - path.stat().st_mtime
        return 0 <= age < HEARTBEAT_TIMEOUT or (watch and is_touched(path, HEARTBEAT))
    except OSError:
        return False


_watched: dict[Path, tuple[int, float]] = {}  # file -> its time of change, and when this process first saw that


def is_touched(path: Path, beat: float) -> bool:
    """Whether a file that should be touched every `beat` seconds is, in two of them by a clock that nobody sets.

    All files beside it with its ending are watched at once. Errors: OSError where it is gone.
    """
    for each in (path, *path.parent.glob(f"*{path.suffix}")):
        with suppress(OSError):
            _watched.setdefault(each, (each.stat().st_mtime_ns, time.monotonic()))
    changed, since = _watched.get(path, (0, time.monotonic()))
    end = since + 2 * beat + CLOCK_SLACK * min(1, beat)
    while (now := path.stat().st_mtime_ns) == changed and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, beat / 4))
    if now != changed:
        _watched[path] = now, time.monotonic()
    return now != changed


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
