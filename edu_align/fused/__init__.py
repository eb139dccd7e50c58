"""The decoder's own arithmetic in fewer passes over memory, for CPUs, where most of a step is reading and writing."""

from typing import Any


def fuse(model: Any) -> Any:
    """Let `model`, an adapted decoder, compute its adapters, norms and rotations fused where it may. Returns it.

    Of a family that is not known here only the adapters are, which is said.
    """
    from edu_align.fused.decoder import fuse_norms, fuse_rotation
    from edu_align.fused.lora import fuse_lora
    from edu_align.packing.decoder import causal_model
    from edu_align.packing.families import FAMILIES

    network = causal_model(model)
    kind = network.config.model_type
    if kind in FAMILIES:
        fuse_norms(network, FAMILIES[kind])
        fuse_rotation(network, FAMILIES[kind])
    elif network.device.type == "cpu":
        print(f"edu_align: norms and rotations of model_type {kind!r} run unfused", flush=True)
    return fuse_lora(model)
