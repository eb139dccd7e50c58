"""A machine of little memory: a layer of the tiny model that runs out of it for more than it holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

CPU = "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 7 bytes."


def full(kind: str) -> Exception:
    return {
        "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        "cpu": RuntimeError(CPU),
        "python": MemoryError(),
    }[kind]


@contextmanager
def holds(
    rows: int = 10**9,
    kind: str = "cuda",
    way: str = "forward",
    after: int = 0,
    training: bool = True,
    tokens: int = 10**9,
) -> Iterator[Any]:
    """In the block a layer's pass over more than `rows` rows, or `tokens` tokens, fails with the error of `kind`.

    `way`: in the forward pass, or in the backward one, when the layers above have left gradients already. Passes of
    one sort only: those that train, or those that do not. The first `after` are let through. Yields what failed.
    """
    from transformers.models.llama.modeling_llama import LlamaMLP

    original = LlamaMLP.forward
    failed: list[int] = []
    seen = [0]

    def forward(self: Any, hidden: Any) -> Any:
        size = hidden.shape[0] * hidden.shape[1]
        result = original(self, hidden)
        if torch.is_grad_enabled() != training:
            return result
        seen[0] += 1
        if seen[0] <= after or (hidden.shape[0] <= rows and size <= tokens):
            return result
        if way == "backward":
            result.register_hook(lambda _: fail(size))
            return result
        return fail(size)

    def fail(size: int) -> Any:
        failed.append(size)
        raise full(kind)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LlamaMLP, "forward", forward)
        yield failed
