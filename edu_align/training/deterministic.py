"""Sums in one order, so that a run which is repeated on one CPU ends with the same bits."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def sums_in_order(device: str) -> Iterator[None]:
    """On a CPU torch's deterministic algorithms are on inside the block; as found before, after it.

    Without them the backward pass of `x[index]`, in float32 and with several threads, adds up what falls on one row of
    x in whatever order the threads come. On a GPU nothing is changed: there the mode is slower, and the user's choice.
    """
    import torch

    fills: Any = torch.utils.deterministic
    if device != "cpu" or torch.are_deterministic_algorithms_enabled():
        yield
        return
    filled, fills.fill_uninitialized_memory = fills.fill_uninitialized_memory, False
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)
        fills.fill_uninitialized_memory = filled
