"""Memory that runs out: what counts as that, how the failed work lets go of what it holds, and work in halves."""

import gc
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TypeVar

from edu_align.utils.errors import UserError, first_line

T = TypeVar("T")
R = TypeVar("R")

GENERAL_ADVICE = (
    "Use a smaller trainer.max_length, hardware.quantization=nf4, a smaller model, or a hardware preset for a larger "
    "device."
)


class OutOfMemory(UserError):
    """The smallest piece of work does not fit: the settings ask for more than this machine has."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a GPU or on the CPU."""
    if isinstance(error, MemoryError):
        return True
    import torch
    from accelerate.utils.memory import should_reduce_batch_size

    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, Exception) and should_reduce_batch_size(error)


def memory_error(error: BaseException) -> "OutOfMemory | None":
    """`error` as one for the user, where memory ran out; None for any other. torch is not imported for it."""
    if not isinstance(error, MemoryError) and ("torch" not in sys.modules or not is_out_of_memory(error)):
        return None
    return OutOfMemory(f"out of memory ({release_traceback(error)}). {GENERAL_ADVICE}")


def release_traceback(error: BaseException) -> str:
    """The error's first line. The frames that it went through let go of their tensors."""
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
