"""Memory: what a run keeps and gives back at its end, what counts as running out of it, and work in halves."""

import contextlib
import errno
import gc
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from edu_align.utils.errors import UserError, first_line
from edu_align.utils.files import first_value

# mallopt's parameters (glibc's malloc.h), and what it begins with.
TRIM_THRESHOLD, MMAP_MAX = -1, -4
TRIM_THRESHOLD_USUAL, MMAP_MAX_USUAL = 128 * 1024, 65536

# Kernels of matrix products in 16 bits that oneDNN and torch over it keep, each for the sizes of one product. Of
# 1,024, their default, most belong to passes long gone.
KERNEL_CACHES, KERNELS = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"), 64

_frozen = False


def prepare(device: str, quantized: bool) -> None:
    """What a training process tells the libraries of its memory before it loads a model; only a CPU (cpu) needs it."""
    if device == "cpu":
        (return_freed if quantized else keep_freed)()
        keep_few_kernels()


def keep_freed() -> None:
    """Let glibc hand out again what was freed, tensors of many megabytes too, instead of returning it to the system.

    By default each of those is mapped anew, and the system fills its pages with zeros before they are written.
    """
    _glibc("mallopt", MMAP_MAX, 0)
    _glibc("mallopt", TRIM_THRESHOLD, -1)


def return_freed() -> None:
    """Let glibc return large tensors to the system again, as it does by itself: for weights in 4 bits.

    Each layer's weights are widened for its products and freed again. Kept, they lie between the activations, and what
    is made next seldom fits into their gaps: Mistral-7B's shape then held 20 GB where its plan has 9.6, and four of its
    layers 5.9 GB instead of 3.4, in the same time (109 s for two steps; AMD EPYC, 2 cores, float32).
    """
    _glibc("mallopt", MMAP_MAX, MMAP_MAX_USUAL)
    _glibc("mallopt", TRIM_THRESHOLD, TRIM_THRESHOLD_USUAL)


def keep_few_kernels() -> None:
    """Let a CPU keep the kernels of about one pass. Almost every packed pass has a number of tokens of its own, so that
    kept ones are seldom used again, and lie between the activations, whose gaps then grow with each new size.

    Read by the libraries at their first product; what the user's environment says stays.
    """
    for name in KERNEL_CACHES:
        os.environ.setdefault(name, str(KERNELS))


def freeze_imported_objects() -> None:
    """Take what is imported by now (modules, functions: some hundred thousand objects) out of the garbage collector's
    rounds, which every run waits for, and let it begin them (`utils.program` starts without). Once, and before a model
    is loaded: nothing that a run drops later is left out.
    """
    global _frozen
    if not _frozen:
        _frozen = True
        gc.collect()
        gc.freeze()
    gc.enable()


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
    forget_peak()


def forget_peak() -> None:
    """Let the peak of resident memory count from now on, where this is Linux."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def available_memory() -> int | None:
    """Bytes that a new process can take without swapping, on Linux; None elsewhere."""
    free = first_value(Path("/proc/meminfo"), "MemAvailable")
    return int(free.split()[0]) << 10 if free else None


def zeros_on_own_pages(shape: Sequence[int], dtype: Any) -> Any:
    """A tensor of zeros on a CPU whose pages go back to the system with it, whatever glibc is told to keep: memory that
    grows step by step would leave every smaller one behind.
    """
    import mmap

    import torch

    count = math.prod(shape)
    return torch.frombuffer(mmap.mmap(-1, max(1, count * dtype.itemsize)), dtype=dtype, count=count).view(shape)


def _glibc(function: str, *values: int) -> None:
    """Call a function of glibc, where that is the C library."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        getattr(ctypes.CDLL("libc.so.6"), function)(*values)


T = TypeVar("T")
R = TypeVar("R")

GENERAL_ADVICE = (
    "Use a smaller trainer.max_length, hardware.quantization=nf4, a smaller model, or a hardware preset for a larger "
    "device."
)


class OutOfMemory(UserError):
    """The smallest piece of work does not fit: the settings ask for more than this machine has."""


# How libraries say it, each on the first line of an error of their own. A word such as "memory" alone says nothing.
SAID = re.compile(
    r"\b(CUDA|HIP|XPU|NPU|MPS|GPU)( backend| error:| runtime error \(2\) :)? out of memory\b|\(os error 12\)"
    r"|DefaultCPUAllocator: (can't allocate memory|not enough memory)|could not create a primitive$"
    r"|^(std::)?bad_?alloc|CUBLAS_STATUS_ALLOC_FAILED|CUSPARSE_STATUS_INSUFFICIENT_RESOURCES|CUDNN_STATUS_ALLOC_FAILED"
    r"|cuDNN error: CUDNN_STATUS_NOT_SUPPORTED\.|MODULE:PT_DEVMEM Allocation failed"
    r"|(unable to mmap|unable to open shared memory|mmap|malloc|realloc)\b.*Cannot allocate memory",
    re.IGNORECASE | re.MULTILINE,
)
LIBRARIES = ("RuntimeError", "AcceleratorError", "SafetensorError", "ArrowMemoryError", "XlaRuntimeError")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a GPU or on the CPU, whichever library says so. Nothing is imported for it."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return type(error).__name__ in LIBRARIES and SAID.search(str(error)) is not None


def memory_error(error: BaseException) -> "OutOfMemory | None":
    """`error` as one for the user, where memory ran out; None for any other."""
    if not is_out_of_memory(error):
        return None
    return OutOfMemory(f"out of memory ({release_traceback(error)}). {GENERAL_ADVICE}")


def release_traceback(error: BaseException) -> str:
    """The error's first line. The frames that it went through let go of their tensors."""
    import traceback

    traceback.clear_frames(error.__traceback__)
    return first_line(error)


def free_memory() -> None:
    """Give back what nothing holds any more, once the `except` block of the error is left."""
    import torch

    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


class HalvingBatches:
    """Work on many items in batches: all at once, until memory runs out in it, then half as many for good.

    `what` names the work.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.size: int | None = None

    def run(self, work: Callable[[Sequence[T]], list[R]], items: Sequence[T]) -> list[R]:
        """`work(items)`, one result an item. Errors: `OutOfMemory` where one item alone does not fit."""
        results: list[R] = []
        while len(results) < len(items):
            tried = min(self.size or len(items), len(items) - len(results))
            try:
                results += work(items[len(results) : len(results) + tried])
                continue
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = release_traceback(error)
            free_memory()
            if tried == 1:
                raise OutOfMemory(f"out of memory while {self.what}, one at a time ({reason}). {GENERAL_ADVICE}")
            self.size = tried // 2
            print(f"edu_align: out of memory while {self.what}: {tried} at once -> {self.size}", flush=True)
        return results
