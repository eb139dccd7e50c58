"""Memory that runs out: what counts as that, how the failed work lets go of what it holds, and what is said of it."""

import gc
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from edu_align.config.schema import Config
from edu_align.errors import UserError

T = TypeVar("T")
R = TypeVar("R")


class OutOfMemory(UserError):
    """The smallest piece of work does not fit: the settings ask for more than this machine has."""


def ran_out(error: BaseException) -> bool:
    """Whether memory ran out, on a GPU or on the CPU."""
    import torch
    from accelerate.utils.memory import should_reduce_batch_size

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, Exception) and should_reduce_batch_size(error)


def forget(error: BaseException) -> str:
    """The error's first line. The frames that it went through let go of their tensors."""
    traceback.clear_frames(error.__traceback__)
    return (str(error) or type(error).__name__).splitlines()[0]


def make_room() -> None:
    """Give back what nothing holds any more, once the `except` block of the error is left."""
    import torch

    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


class Halves:
    """Work on many items in pieces: all at once, until memory runs out in it, then half as many for good.

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
                if not ran_out(error):
                    raise
                said = forget(error)
            make_room()
            if tried == 1:
                raise OutOfMemory(f"out of memory while {self.what}, one at a time ({said}). {GENERAL}")
            self.size = tried // 2
            print(f"edu_align: out of memory while {self.what}: {tried} at once -> {self.size}", flush=True)
        return results


GENERAL = (
    "Use a smaller trainer.max_length, hardware.quantization=nf4, a smaller model, or a hardware preset for a larger "
    "device."
)


def ways_out(config: Config) -> str:
    """What may be changed so that a run takes less memory, in the order of what the plan says it saves."""
    from edu_align.planning.alternatives import alternatives
    from edu_align.planning.plan import savings

    try:
        saved = savings(config)
    except UserError:  # a model whose shape is not in the config
        saved = [(name, 0.0) for name, _ in alternatives(config)]
    found = [f"{name} (saves about {size / 2**30:.1f} GB)" if size else name for name, size in saved]
    return f"Change one of: {', '.join([*found, 'hardware=<preset of a larger device>', 'model=<a smaller one>'])}."


@contextmanager
def explained(config: Config) -> Iterator[None]:
    """An error of memory that nothing smaller could mend, as `OutOfMemory` with the ways out."""
    try:
        yield
        return
    except OutOfMemory:
        raise
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        said = forget(error)
    make_room()
    raise OutOfMemory(
        f"out of memory, and not in a pass that could be made smaller: model, optimizer and what training keeps do "
        f"not fit ({said}). {ways_out(config)}"
    )
