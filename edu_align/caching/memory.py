"""Memory that a finished run gives back, so that a sweep of many runs in one process needs that of one."""

import contextlib
import ctypes
import gc
import sys
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
    if not _settled and sys.exc_info()[0] is None:  # a failure on its way up still holds its run
        gc.freeze()
        _settled = True
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):  # only on Linux: the next run's peak of resident memory is its own
        Path("/proc/self/clear_refs").write_text("5")
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)
