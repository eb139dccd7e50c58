"""Root-mean-square norms and rotary positions (Su et al. 2021, arXiv:2104.09864) in fewer passes over memory.

The same formulas as transformers' decoders; what is saved for the backward pass is the input in its own dtype.
"""

import importlib
from collections.abc import Callable
from types import MethodType
from typing import Any

import torch

from edu_align.packing.families import SUPPORTED

NORM = "RMSNorm"  # Llama's, Mistral's and Qwen's are named after their family and this, and are one formula


def fuse_norms(model: Any) -> None:
    """Let the frozen norms of `model` run fused on a CPU; others keep transformers' code."""
    for module in model.modules():
        if type(module).__name__.endswith(NORM) and _is_known(type(module).__module__):
            module.forward = MethodType(_norm, module)


def fuse_rotation(model: Any) -> None:
    """Let the decoder family of `model` rotate queries and keys fused on a CPU, in this process."""
    for name in {type(module).__module__ for module in model.modules()}:
        home = importlib.import_module(name)
        original = getattr(home, "apply_rotary_pos_emb", None)
        if _is_known(name) and original is not None and not hasattr(original, "unfused"):
            home.apply_rotary_pos_emb = _rotation(original)  # type: ignore[attr-defined]


def _is_known(module: str) -> bool:
    return module in {f"transformers.models.{name}.modeling_{name}" for name in SUPPORTED}


def _norm(module: Any, x: torch.Tensor) -> torch.Tensor:
    if x.device.type != "cpu" or module.weight.requires_grad:
        return type(module).forward(module, x)
    return _Norm.apply(x, module.weight, module.variance_epsilon)


class _Norm(torch.autograd.Function):
    """weight * x / sqrt(mean(x^2) + epsilon) over the last axis of x (..., H); computed in float32."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        wide = x.float()
        size = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        inverse = size.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, inverse)
        return (wide.mul_(inverse) if wide is not x else wide * inverse).to(x.dtype) * weight

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
        x, weight, inverse = ctx.saved_tensors
        wide = x.float()
        given = (gradient * weight).float()
        inner = torch.einsum("...h,...h->...", given, wide).unsqueeze(-1)
        inner = inner * inverse.square().div_(-x.shape[-1])
        return given.addcmul_(wide, inner).mul_(inverse).to(x.dtype), None, None


def _rotation(original: Callable[..., Any]) -> Callable[..., Any]:
    def rotate(q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, unsqueeze_dim: int = 1) -> Any:
        if q.device.type != "cpu":
            return original(q, k, cos, sin, unsqueeze_dim=unsqueeze_dim)
        cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
        return _Rotation.apply(q, cos, sin), _Rotation.apply(k, cos, sin)

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
