"""A linear layer and its LoRA adapter (Hu et al. 2021, arXiv:2106.09685, equation 3) as one operation.

    y = W x + s B A x

PEFT adds the two products, scaled, in passes of their own over (tokens, features), and autograd does the same for the
input's gradient. Here the matrix product itself adds the second product to the first, in both directions.

In 16 bits, PEFT rounds W x, then s B A x, then their sum. Wherever the adapter's part is smaller than half a step of
the number format beside W x (a 512th of it in bfloat16), the sum is W x again: a young adapter, whose part is small
everywhere, is mostly lost, and training is slower for it. One product over both,

    [x, A x] [W, s B]^T,

keeps the sum in float32 and rounds once. Replies are scored so too, and a model that only reads keeps no second copy of
its weights.
"""

from collections.abc import Iterator
from types import MethodType
from typing import Any

import torch
from peft.tuners.lora import Linear
from torch.nn.functional import linear

START = "start"  # buffer beside an adapter's matrix: what that was at first
MANY_ROWS = 128  # that are read at once, from which this is faster than PEFT's products in float32
COPY = "keeps_copy"  # of a layer: whether it keeps the copy that `_concatenated` makes of its weight (`copies`)


def _concatenated(layer: Any, weight: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """[weight, second], (out, in + r) for weight (out, in) and second (out, r), in the weight's dtype.

    The copy of the weight is cached on `layer`, if any, and made again where the weight changed; the second matrix is
    written anew in every call, so autograd must not keep what is returned. See `copies`.
    """
    if layer is None or not getattr(layer, COPY, True):
        return torch.cat([weight, second], dim=1)
    width = weight.shape[1]
    made_from = (weight.data_ptr(), weight._version, weight.shape[0], width + second.shape[1])
    cached = layer.__dict__.get("_wide")
    if cached is None or cached[0] != made_from:
        cached = (made_from, weight.new_empty(made_from[2:]))
        cached[1][:, :width] = weight
        layer.__dict__["_wide"] = cached
    cached[1][:, width:] = second
    return cached[1]


def fuse_lora(model: Any) -> Any:
    """Let every plain LoRA layer of `model` use the fused product where `_is_supported`, and PEFT's code elsewhere."""
    for module in model.modules():
        if type(module) is Linear and type(module.base_layer) is torch.nn.Linear:
            # Bound to its module, so that a deep copy runs its own weights.
            module.forward = MethodType(_forward, module)  # type: ignore[method-assign]
    return model


def copied_weights(model: Any) -> Iterator[tuple[Any, int]]:
    """The fused layers that copy their weight beside their adapter, and the bytes of the copy."""
    for layer in model.modules():
        if type(layer) is Linear and "forward" in vars(layer):
            adapter = active_adapter(layer)
            weight: Any = layer.base_layer.weight
            narrow = weight.device.type == "cpu" and weight.dtype != torch.float32
            if narrow and adapter is not None and _is_plain(layer, adapter):
                rank = factors(layer, adapter)[1].shape[1]
                yield layer, len(weight) * (weight.shape[1] + rank) * weight.element_size()


def _forward(layer: Any, x: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
    adapter = active_adapter(layer)
    if args or options or adapter is None or not _is_supported(layer, adapter, x):
        return type(layer).forward(layer, x, *args, **options)
    base = layer.base_layer
    down, up = factors(layer, adapter)
    keeper = layer if torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") else None
    return _LoraProduct.apply(x, base.weight, base.bias, down, up, layer.scaling[adapter], keeper)


def factors(layer: Any, adapter: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(r, in) and (out, r), whose product the adapter adds; (2r, in) and (out, 2r) where its start, which lies beside
    the two matrices, is taken away again (see models/principal.py).
    """
    down, up = layer.lora_A[adapter], layer.lora_B[adapter]
    if not hasattr(down, START):
        return down.weight, up.weight
    return torch.cat([down.weight, getattr(down, START)]), torch.cat([up.weight, -getattr(up, START)], dim=1)


def active_adapter(layer: Any) -> str | None:
    """The one adapter that the layer applies, or None."""
    if layer.disable_adapters or layer.merged:
        return None
    active = [name for name in layer.active_adapters if name in layer.lora_A]
    return active[0] if len(active) == 1 else None


def _is_supported(layer: Any, adapter: str, x: torch.Tensor) -> bool:
    """Whether the fused product is the layer's own: a CPU, a frozen base in the dtype of the products, no extras."""
    weight, bias = layer.base_layer.weight, layer.base_layer.bias
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    reads = not torch.is_grad_enabled() and x.numel() >= MANY_ROWS * x.shape[-1]
    adapted = reads or dtype == layer.lora_A[adapter].weight.dtype or torch.is_autocast_enabled("cpu")
    return (
        x.device.type == "cpu"
        and weight.dtype == dtype
        and adapted
        and not weight.requires_grad
        and (bias is None or not bias.requires_grad)
        and _is_plain(layer, adapter)
        and (not layer.training or type(layer.lora_dropout[adapter]) is torch.nn.Identity)
    )


def _is_plain(layer: Any, adapter: str) -> bool:
    """Whether the adapter is two matrices and nothing else (DoRA's lengths, a bias)."""
    variant = adapter in layer.lora_variant and not hasattr(layer.lora_A[adapter], START)
    return not variant and layer.lora_B[adapter].bias is None


class _LoraProduct(torch.autograd.Function):
    """x (..., in), weight (out, in), bias (out), down (r, in), up (out, r) -> (..., out) in the weight's dtype.

    `keeper`: the layer that keeps the copy of its weight which 16 bits need; None makes one in each call.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
        scaling: float,
        keeper: Any,
    ) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            first, second = down.to(weight.dtype), (up * scaling).to(weight.dtype)
            rows = x.reshape(-1, x.shape[-1]).to(weight.dtype)
            inner = rows @ first.t()
            if weight.dtype == torch.float32:
                added = inner @ second.t() if bias is None else torch.addmm(bias, inner, second.t())
                out = torch.addmm(added, rows, weight.t())  # not in place: checkpointing may keep it
            else:
                out = linear(torch.cat([rows, inner], dim=1), _concatenated(keeper, weight, second), bias)
        ctx.save_for_backward(rows, inner, weight, first, second)
        ctx.scaling, ctx.shape, ctx.dtypes = scaling, x.shape, (x.dtype, down.dtype, up.dtype)
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
        rows, inner, weight, first, second = ctx.saved_tensors
        with torch.autocast("cpu", enabled=False):
            grad = gradient.reshape(-1, gradient.shape[-1]).to(weight.dtype)
            grad_inner = grad @ second
            to_x = None
            if ctx.needs_input_grad[0]:
                to_x = (grad @ weight).addmm_(grad_inner, first).view(ctx.shape).to(ctx.dtypes[0])
            to_down = (grad_inner.t() @ rows).to(ctx.dtypes[1])
            to_up = (inner.t() @ grad).t().to(ctx.dtypes[2]).mul_(ctx.scaling)
        return to_x, None, None, to_down, to_up, None, None
