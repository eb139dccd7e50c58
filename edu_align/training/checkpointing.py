"""What a training pass keeps for its backward pass, and what it computes again (`hardware.gradient_checkpointing`).

full       kept is the input of each decoder layer, and the layer is computed again (Chen et al. 2016, arXiv:1604.06174)
selective  and the outputs of what takes long: matrix products and SDPA's kernels (Korthikanti et al. 2022,
           arXiv:2205.05198). Norms, rotations, activations, sums and our block attention are computed again
offload    as full, and the inputs wait in the host's memory
"""

from functools import partial
from types import MethodType
from typing import Any

import torch
from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts

from edu_align.packing.decoder import causal_model

PRODUCTS = (torch.ops.aten.mm.default, torch.ops.aten.addmm.default)
KERNELS = tuple(
    getattr(torch.ops.aten, name).default
    for name in (
        "_scaled_dot_product_flash_attention",
        "_scaled_dot_product_efficient_attention",
        "_scaled_dot_product_cudnn_attention",
        "_scaled_dot_product_flash_attention_for_cpu",
    )
)
SHORT = 256  # sums of fewer products (an adapter's second matrix) take less time than reading what they come to


def checkpoint_by(model: Any, mode: str) -> None:
    """Let checkpointing of `model`, whenever it is turned on, be of this mode.

    transformers turns it on as training starts, and TRL off and on again around each pass of the reference model.
    """
    if mode in _ENABLE:
        network = causal_model(model)
        # Bound to its network, so that a deep copy checkpoints its own layers.
        network.gradient_checkpointing_enable = MethodType(_ENABLE[mode], network)


def _selective(network: Any, *_: Any, **__: Any) -> None:
    contexts = partial(create_selective_checkpoint_contexts, policy)
    type(network).gradient_checkpointing_enable(network, {"use_reentrant": False, "context_fn": contexts})


def _offload(network: Any, *_: Any, **__: Any) -> None:
    type(network).gradient_checkpointing_enable(network, offload=True)


_ENABLE = {"selective": _selective, "offload": _offload}


def policy(context: Any, operation: Any, *inputs: Any, **options: Any) -> CheckpointPolicy:
    """What torch asks of each operation in a decoder layer: whether its output is kept."""
    if operation in PRODUCTS:
        left = inputs[-2]
        return CheckpointPolicy.PREFER_RECOMPUTE if left.shape[-1] < SHORT else CheckpointPolicy.MUST_SAVE
    return CheckpointPolicy.MUST_SAVE if operation in KERNELS else CheckpointPolicy.PREFER_RECOMPUTE
