"""Processes that end with the one that started them, also where that is killed and can tell them nothing."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK = 1.0  # seconds between two looks at who the parent is
GRACE = 30.0  # seconds that a job has to keep what it has done, once its parent is gone
PR_SET_PDEATHSIG = 1  # prctl(2)
EXIT_ORPHAN = 128 + signal.SIGTERM


@contextmanager
def ending_with(parent: int) -> Iterator[None]:
    """Where `parent` is this process' parent and dies inside the block, so does this process: first it gets a SIGTERM.

    prctl(2) would not do here: its signal comes as soon as the thread ends that started this process.
    """
    if os.getppid() != parent:
        yield
        return
    over = threading.Event()
    threading.Thread(target=_watch, args=(parent, over), name="edu_align parent", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        if os.getppid() != parent:
            os._exit(EXIT_ORPHAN)


def _watch(parent: int, over: threading.Event) -> None:
    while not over.wait(LOOK):
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
            over.wait(GRACE)
            os._exit(EXIT_ORPHAN)


def dies_with_this() -> Callable[[], None] | None:
    """What a new process does first (`preexec_fn`) to be killed when this thread ends; None where Linux is not."""
    if sys.platform != "linux":
        return None
    libc, parent = ctypes.CDLL(None), os.getpid()

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(EXIT_ORPHAN)

    return ask
