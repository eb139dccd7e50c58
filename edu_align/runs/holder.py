"""A process as a lock names it, and whether it lives."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

CLOCK_SLACK = 2.0  # seconds that two readings of one process' start may differ by


@dataclass(frozen=True)
class Holder:
    """`machine` tells one boot and one pid namespace from another; `started`: seconds since 1970; pid 0: nobody."""

    host: str
    machine: str
    pid: int
    started: float


def runs_here(found: Holder) -> bool:
    """Whether that process of this machine still lives, and is not another one that was given its pid."""
    import psutil

    try:
        process = psutil.Process(found.pid)
        same = abs(process.create_time() - found.started) <= CLOCK_SLACK
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def me() -> Holder:
    """This process."""
    import psutil

    return Holder(socket.gethostname(), machine(), os.getpid(), psutil.Process().create_time())


def machine() -> str:
    """This boot of this machine, and the pid namespace that its pids are from (a container has its own)."""
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    try:
        return f"{socket.gethostname()} {boot.read_text().strip()} {os.readlink(space)}"
    except OSError:
        return socket.gethostname()
