"""Memory that a run keeps while it goes, and gives back at its end: a sweep in one process needs that of one run."""

import contextlib
import ctypes
import gc
import os
import sys
from pathlib import Path

# mallopt's parameters (glibc's malloc.h).
TRIM_THRESHOLD, MMAP_MAX = -1, -4

# Kernels of matrix products in 16 bits that oneDNN and torch over it keep, each for the sizes of one product. Of
# 1,024, their default, most belong to passes long gone.
KERNEL_CACHES, KERNELS = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"), 64

_frozen = False


def prepare(device: str) -> None:
    """What a training process tells the libraries of its memory before it loads a model; only a CPU (cpu) needs it."""
    if device == "cpu":
        keep_freed()
        keep_few_kernels()


def keep_freed() -> None:
    """Let glibc hand out again what was freed, tensors of many megabytes too, instead of returning it to the system.

    By default each of those is mapped anew, and the system fills its pages with zeros before they are written.
    """
    _glibc("mallopt", MMAP_MAX, 0)
    _glibc("mallopt", TRIM_THRESHOLD, -1)


def keep_few_kernels() -> None:
    """Let a CPU keep the kernels of about one pass. Almost every packed pass has a number of tokens of its own, so that
    kept ones are seldom used again, and lie between the activations, whose gaps then grow with each new size.

    Read by the libraries at their first product; what the user's environment says stays.
    """
    for name in KERNEL_CACHES:
        os.environ.setdefault(name, str(KERNELS))


def freeze_imported_objects() -> None:
    """Take what is imported by now (modules, functions: some hundred thousand objects) out of the garbage collector's
    rounds, which every run waits for. Once, and before a model is loaded: nothing that a run drops later is left out.
    """
    global _frozen
    if not _frozen:
        _frozen = True
        gc.collect()
        gc.freeze()


def free() -> None:
    """Collect what a run left in reference cycles (model, trainer, optimizer) and return it to the system.

    glibc keeps freed memory in its arenas, and small live objects in between keep it from shrinking by itself;
    `malloc_trim` hands free pages back.
    """
    if "torch" not in sys.modules:
        return
    import torch

    gc.collect()
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
