"""Memory that a finished run gives back, so that a sweep of many runs in one process needs that of one."""

import contextlib
import ctypes
import gc
import sys
import threading
from pathlib import Path

_settled = False


def free() -> None:
    """Collect what a run left in reference cycles (model, trainer, optimizer) and return it to the system.

    The first time, what is left after that (modules, functions: some hundred thousand objects) is taken out of the
    garbage collector's rounds, which every later run waits for twice. glibc keeps freed memory in its arenas, and small
    live objects in between keep it from shrinking by itself; `malloc_trim` hands free pages back.
    """
    global _settled
    if "torch" not in sys.modules:
        return
    import torch

    gc.collect()
    # A failure on its way up still holds its run, and runs that take turns in threads are not all at their end.
    if not _settled and sys.exc_info()[0] is None and threading.current_thread() is threading.main_thread():
        gc.freeze()
        _settled = True
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):  # only on Linux: the next run's peak of resident memory is its own
        Path("/proc/self/clear_refs").write_text("5")
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def thaw() -> None:
    """Let the garbage collector look at everything again, at what is about to be dropped above all."""
    global _settled
    gc.unfreeze()
    _settled = False
