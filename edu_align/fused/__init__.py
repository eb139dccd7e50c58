"""The decoder's own arithmetic in fewer passes over memory, for CPUs, where most of a step is reading and writing."""

from typing import Any


def fuse(model: Any) -> Any:
    """Let `model`, an adapted decoder, compute its adapters, norms and rotations fused where it may. Returns it."""
    from edu_align.fused.decoder import fuse_norms, fuse_rotation
    from edu_align.fused.lora import fuse_lora

    fuse_norms(model)
    fuse_rotation(model)
    return fuse_lora(model)
