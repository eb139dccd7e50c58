"""Processes that end with the one that started them, also where that one is killed and can tell nobody.

A process of our own watches its parent in a thread. A foreign program is asked of the kernel (Linux) to be ended; where
there is no such thing, it lives on as it would have.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

LOOK = 1.0  # seconds between two looks at the parent
GRACE = 60.0  # seconds that a run has for the end of its step and its checkpoint
PDEATHSIG = 1  # prctl's PR_SET_PDEATHSIG (linux/prctl.h)
_watching: list[int] = []


def end_with_parent(parent: int, busy: Callable[[], bool] = lambda: False) -> None:
    """From here on this process ends when its parent, which has the id `parent`, does; once is enough.

    It gets SIGTERM, so that a run keeps its checkpoint, and is gone once it is not `busy`, or after `GRACE` seconds.
    """
    if os.getpid() in _watching:
        return
    _watching.append(os.getpid())
    threading.Thread(target=_watch, args=(parent, busy), name="edu_align parent", daemon=True).start()


def _watch(parent: int, busy: Callable[[], bool]) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK)
    end = time.monotonic() + GRACE
    if busy():
        os.kill(os.getpid(), signal.SIGTERM)
    while busy() and time.monotonic() < end:
        time.sleep(LOOK / 10)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(128 + signal.SIGTERM)


_prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """For `preexec_fn` of `subprocess`: the program that is started is killed when the thread that started it ends."""
    if _prctl is not None:
        _prctl(PDEATHSIG, signal.SIGKILL, 0, 0, 0)
