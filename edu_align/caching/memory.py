"""Memory that a run keeps while it goes, and gives back at its end: a sweep in one process needs that of one run."""

import contextlib
import ctypes
import gc
import sys
import threading
from pathlib import Path

# mallopt's parameters (glibc's malloc.h).
TRIM_THRESHOLD, MMAP_MAX = -1, -4

_settled = False


def keep_freed() -> None:
    """Let glibc hand out again what was freed, tensors of many megabytes too, instead of returning it to the system.

    By default each of those is mapped anew, and the system fills its pages with zeros before they are written.
    """
    _glibc("mallopt", MMAP_MAX, 0)
    _glibc("mallopt", TRIM_THRESHOLD, -1)


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
    _glibc("malloc_trim", 0)
    with contextlib.suppress(OSError):  # only on Linux: the next run's peak of resident memory is its own
        Path("/proc/self/clear_refs").write_text("5")


def _glibc(function: str, *values: int) -> None:
    """Call a function of glibc, where that is the C library."""
    with contextlib.suppress(OSError, AttributeError):
        getattr(ctypes.CDLL("libc.so.6"), function)(*values)


def thaw() -> None:
    """Let the garbage collector look at everything again, at what is about to be dropped above all."""
    global _settled
    gc.unfreeze()
    _settled = False
