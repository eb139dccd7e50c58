"""Root-mean-square norms and rotary positions (Su et al. 2021, arXiv:2104.09864) in fewer passes over memory.

The same formulas as transformers' decoders; what is saved for the backward pass is the input in its own dtype.
"""

import sys
from collections.abc import Callable
from types import MethodType
from typing import Any

import torch

from edu_align.packing.families import Family

NORM = "RMSNorm"  # transformers names the norms of a family after the family and this
# What x / sqrt(mean(x^2) + epsilon), computed in float32, is multiplied with, and whether it is rounded before that.
NORMS: dict[str, Callable[[torch.Tensor], tuple[torch.Tensor, bool]]] = {
    "after rounding": lambda weight: (weight, True),
    "before rounding": lambda weight: (weight.float(), False),
    "plus one": lambda weight: (1 + weight.float(), False),
}


def fuse_norms(network: Any, family: Family) -> None:
    """Let the frozen norms of `network`, a transformers model, run fused on a CPU; others keep transformers' code."""
    home = _home(network)
    for module in network.modules():
        if type(module).__module__ == home and type(module).__name__.endswith(NORM):
            module.factor = NORMS[family.norm]
            module.forward = MethodType(_norm, module)


def fuse_rotation(network: Any, family: Family) -> None:
    """Let the family of `network` rotate queries and keys fused on a CPU, in this process."""
    home: Any = sys.modules[_home(network)]
    if not hasattr(home.apply_rotary_pos_emb, "unfused"):
        home.apply_rotary_pos_emb = _rotation(home.apply_rotary_pos_emb, family.keeps_dtype)


def _home(network: Any) -> str:
    """The module that holds the family's code; a sharded network has a class of its own before the family's."""
    return next(kind.__module__ for kind in type(network).__mro__ if kind.__module__.startswith("transformers.models."))


def _norm(module: Any, x: torch.Tensor) -> torch.Tensor:
    if x.device.type != "cpu" or module.weight.requires_grad:
        return type(module).forward(module, x)
    epsilon = module.eps if hasattr(module, "eps") else module.variance_epsilon
    return _Norm.apply(x, *module.factor(module.weight), epsilon)


def rms_norm(x: torch.Tensor, factor: torch.Tensor, rounded: bool, epsilon: float) -> tuple[torch.Tensor, torch.Tensor]:
    """factor * x / sqrt(mean(x^2) + epsilon) over the last axis of x (..., H), see NORMS; and (..., 1), what x was
    multiplied with.
    """
    wide = x.float()
    size = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    inverse = size.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
    wide = wide.mul_(inverse) if wide is not x else wide * inverse
    return (wide.to(x.dtype) * factor if rounded else wide.mul_(factor).to(x.dtype)), inverse


class _Norm(torch.autograd.Function):
    """`rms_norm` of a weight that is not trained."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, factor: torch.Tensor, rounded: bool, epsilon: float) -> torch.Tensor:
        out, inverse = rms_norm(x, factor, rounded, epsilon)
        ctx.save_for_backward(x, factor, inverse)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
        x, factor, inverse = ctx.saved_tensors
        wide = x.float()
        given = (gradient * factor).float()
        inner = torch.einsum("...h,...h->...", given, wide).unsqueeze(-1)
        inner = inner * inverse.square().div_(-x.shape[-1])
        return given.addcmul_(wide, inner).mul_(inverse).to(x.dtype), None, None, None


def _rotation(original: Callable[..., Any], keeps_dtype: bool) -> Callable[..., Any]:
    def rotate(q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, unsqueeze_dim: int = 1) -> Any:
        if q.device.type != "cpu" or cos.shape[-1] != q.shape[-1]:  # a part of each head may be left as it is
            return original(q, k, cos, sin, unsqueeze_dim=unsqueeze_dim)
        cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
        rotated = _Rotation.apply(q, cos, sin), _Rotation.apply(k, cos, sin)
        return (rotated[0].to(q.dtype), rotated[1].to(k.dtype)) if keeps_dtype else rotated

    rotate.unfused = original  # type: ignore[attr-defined]
    return rotate


class _Rotation(torch.autograd.Function):
    """(a, b) -> (a cos - b sin, b cos + a sin) for the halves a, b of the last axis of x (R, H, W, D)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(cos, sin)
        (a, b), (cos_a, cos_b), (sin_a, sin_b) = (_halves(part) for part in (x, cos, sin))
        out = torch.empty_like(x, dtype=torch.promote_types(x.dtype, cos.dtype))
        first, second = _halves(out)
        torch.mul(a, cos_a, out=first).addcmul_(b, sin_a, value=-1)
        torch.mul(b, cos_b, out=second).addcmul_(a, sin_b)
        ctx.dtype = x.dtype
        return out

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
        cos, sin = ctx.saved_tensors
        (a, b), (cos_a, cos_b), (sin_a, sin_b) = (_halves(part) for part in (gradient, cos, sin))
        out = torch.empty_like(gradient)
        first, second = _halves(out)
        torch.mul(a, cos_a, out=first).addcmul_(b, sin_b)
        torch.mul(b, cos_b, out=second).addcmul_(a, sin_a, value=-1)
        return out.to(ctx.dtype), None, None


def _halves(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    half = x.shape[-1] // 2
    return x[..., :half], x[..., half:]
