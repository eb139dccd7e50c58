"""A linear layer with several LoRA adapters, each on its own slice of the stacked rows.

    x = [x_0 | x_1 | x_2]: rows of run 0, of run 1, and of the base model
    y = x W^T + [x_0 A_0^T B_0^T s_0 | x_1 A_1^T B_1^T s_1 | 0]

The frozen layer is computed once over the whole stack, the adapters as one batched product: A (S, r, in) and B (S, out,
r) with zeros where an adapter has a lower rank than the largest, or where a slice has none. Zeros add nothing, so that
every slice is what its run alone would compute.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from edu_align.fused.wide import beside

Slice = tuple[int, str | None]  # number of the run, and the name of its active adapter, None for the base model


@dataclass
class Stack:
    """Which slices the rows are made of right now; one object for all layers of a model."""

    slices: tuple[Slice, ...] = ()


class SlicedLinear(torch.nn.Module):
    """Stands in for a linear layer `base`; `adapters` holds PEFT's layer at the same place by the run's number."""

    def __init__(self, base: torch.nn.Module, stack: Stack) -> None:
        super().__init__()
        self.base = base
        self.stack = stack
        self.adapters: dict[int, Any] = {}

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(S * R, W, in) -> (S * R, W, out) for S slices of R rows."""
        found = [self._of(number, name) for number, name in self.stack.slices]
        present = [pair for pair in found if pair is not None]
        if not present:
            return self.base(rows)
        given = present[0][0].dtype
        device = rows.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else given
        first, second = (_stacked([pair and pair[side] for pair in found], side, dtype) for side in (0, 1))
        if _frozen_in(self.base, dtype) and rows.dtype == dtype:
            return _Fused.apply(rows, self.base.weight, self.base.bias, first, second, self)
        result = self.base(rows)
        parts = rows.to(dtype).reshape(len(found), -1, rows.shape[-1])
        added = torch.bmm(torch.bmm(parts, first.transpose(1, 2)), second.transpose(1, 2))
        return (result + added.reshape(result.shape)).to(result.dtype)

    def _of(self, number: int, name: str | None) -> tuple[torch.Tensor, torch.Tensor] | None:
        """A (r, in) and scaled B (out, r) of one slice."""
        layer = self.adapters.get(number)
        if name is None or layer is None or name not in layer.lora_A:
            return None
        return layer.lora_A[name].weight, layer.lora_B[name].weight * layer.scaling[name]


def _frozen_in(base: Any, dtype: torch.dtype) -> bool:
    return type(base) is torch.nn.Linear and base.weight.dtype == dtype and not base.weight.requires_grad


def _stacked(parts: Sequence[torch.Tensor | None], side: int, dtype: torch.dtype) -> torch.Tensor:
    """The matrices as one (S, ., .), the rank (`side` 0: rows, 1: columns) filled up with zeros."""
    present = [part for part in parts if part is not None]
    rank = max(part.shape[side] for part in present)
    shape = list(present[0].shape)
    shape[side] = rank

    def full(part: torch.Tensor | None) -> torch.Tensor:
        if part is None:
            return present[0].new_zeros(shape)
        missing = rank - part.shape[side]
        if not missing:
            return part
        return functional.pad(part, (0, 0, 0, missing) if side == 0 else (0, missing))

    return torch.stack([full(part) for part in parts]).to(dtype)


class _Fused(torch.autograd.Function):
    """x W^T + b + (x_s A_s^T) B_s^T for each slice s; W and b are frozen. Only x and x_s A_s^T are kept."""

    @staticmethod
    def forward(
        ctx: Any,
        rows: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        first: torch.Tensor,
        second: torch.Tensor,
        holder: Any,
    ) -> torch.Tensor:
        slices = first.shape[0]
        with torch.autocast(rows.device.type, enabled=False):
            parts = rows.reshape(slices, -1, rows.shape[-1])
            inner = torch.bmm(parts, first.transpose(1, 2))
            if rows.device.type == "cpu" and rows.dtype != torch.float32:
                result = _rounded_once(parts, inner, weight, bias, second, holder)
            else:
                result = functional.linear(parts, weight, bias)
                result.baddbmm_(inner, second.transpose(1, 2))
        ctx.save_for_backward(rows, weight, first, second, inner)
        return result.view(*rows.shape[:-1], result.shape[-1])

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, weight, first, second, inner = ctx.saved_tensors
        slices = first.shape[0]
        with torch.autocast(rows.device.type, enabled=False):
            given = gradient.to(rows.dtype).reshape(slices, -1, gradient.shape[-1])
            through = torch.bmm(given, second)
            to_first = torch.bmm(through.transpose(1, 2), rows.reshape(slices, -1, rows.shape[-1]))
            to_second = torch.bmm(given.transpose(1, 2), inner)
            to_rows = None
            if ctx.needs_input_grad[0]:
                to_rows = torch.matmul(given, weight).baddbmm_(through, first).view(rows.shape)
        return to_rows, None, None, to_first, to_second, None


def _rounded_once(
    parts: torch.Tensor,
    inner: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    second: torch.Tensor,
    holder: Any,
) -> torch.Tensor:
    """parts (S, N, in) W^T + b + inner (S, N, r) B_s^T, summed before rounding (`fused/wide.py`): all B side by side.

    A slice's rows are zero in the columns of the others.
    """
    slices, rows, width = parts.shape
    rank = inner.shape[-1]
    both = parts.new_zeros(slices, rows, width + slices * rank)
    both[:, :, :width] = parts
    for number in range(slices):
        start = width + number * rank
        both[number, :, start : start + rank] = inner[number]
    columns = second.permute(1, 0, 2).reshape(weight.shape[0], slices * rank)
    return functional.linear(both, beside(holder, weight, columns), bias)
