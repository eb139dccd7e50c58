"""Weights spread over the processes of a run: fully sharded data parallelism (FSDP2, arXiv:2304.11277).

Transformers shards while it loads, so that no process ever holds the whole of a model in 16 or 32 bits: each keeps a
part of every weight, gathers one decoder layer at a time for its forward and backward pass, and frees it again. 4-bit
weights are whole in every process while they are read, and shared afterwards. Adapters are small and stay whole in
every process. Forward passes are collective: all processes must run the same number of them.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from edu_align.config.schema import Config
from edu_align.models.device import Device
from edu_align.utils.distributed import count, first, is_first, wait
from edu_align.utils.errors import UserError


def layout(mixed: bool) -> Any:
    """What transformers' `from_pretrained` takes as `distributed_config`: all processes share one copy.

    `mixed` keeps float32 parts, gathers them in bfloat16 and adds up gradients in float32.
    """
    from transformers.distributed import DistributedConfig

    return DistributedConfig(fsdp_size=count(), fsdp_mixed_precision=mixed)


def shard_quantized(model: Any) -> None:
    """Spread the weights of a 4-bit model that every process has read whole; bitsandbytes' constants stay so.

    Transformers would cut the weights before bitsandbytes makes 4 bits of them, which no forward pass survives. What
    is not quantized becomes float32 first, as PEFT makes it under an adapter: it cannot once the parts are taken.
    """
    import torch

    model.requires_grad_(False)
    read_by_peft = {}
    for name, weight in model.named_parameters():
        if hasattr(weight, "quant_state"):
            read_by_peft[name] = weight.compress_statistics, weight.quant_type
        elif weight.dtype in (torch.float16, torch.bfloat16):
            weight.data = weight.data.float()
    head = model.get_output_embeddings()
    if head.weight is model.get_input_embeddings().weight:  # a weight has one place among the parts
        head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=False)
    settings, _, mesh = model.prepare_distribute_model(layout(mixed=False))
    model.maybe_distribute_model(model, settings, mesh)
    for name, weight in model.named_parameters():
        if name in read_by_peft:
            weight.compress_statistics, weight.quant_type = read_by_peft[name]


@contextmanager
def saved_random_model(draw: Callable[[], Any]) -> Iterator[str]:
    """A folder with the random model that the first process draws: sharding happens while weights are read."""

    def save() -> str:
        folder = tempfile.mkdtemp(prefix="edu_align-random-")
        draw().save_pretrained(folder)
        return folder

    folder = first(save)
    try:
        yield folder
    finally:
        wait()
        if is_first():
            shutil.rmtree(folder, ignore_errors=True)


def is_sharded(model: Any) -> bool:
    return bool(getattr(model, "is_distributed_loading_by_transformers", False))


def head_logits(model: Any, hidden: Any) -> Any:
    """Logits (N, V) of `hidden` (N, H); where the head is sharded, its weight is gathered for the product."""
    import torch
    from torch.distributed.tensor import DTensor

    head = model.get_output_embeddings()
    if not isinstance(head.weight, DTensor):
        return scaled_logits(model.config, head(hidden))

    def gathered(part: Any) -> Any:
        return part.to(hidden.dtype).full_tensor()

    bias = None if head.bias is None else gathered(head.bias)
    return scaled_logits(model.config, torch.nn.functional.linear(hidden, gathered(head.weight), bias))


LOGIT_FACTORS = ("logit_scale", "output_multiplier", "lm_head_multiplier")  # of Cohere, Muse Glimmer, Falcon-H1


def scaled_logits(config: Any, logits: Any) -> Any:
    """What a model of this transformers config makes of its head's output; the rules that TRL's fused head has."""
    text = config.get_text_config()
    for factor in filter(None, (getattr(text, name, None) for name in LOGIT_FACTORS)):
        logits = logits * factor
    if (scale := getattr(text, "logits_scaling", None)) is not None:  # Granite divides by it
        logits = logits * scale if text.model_type == "hyperclovax" else logits / scale
    cap = getattr(text, "final_logit_softcapping", None)
    return logits if cap is None else (logits / cap).tanh() * cap


def init_fsdp_root(model: Any) -> None:
    """Run one token through the whole model, once its frozen weights are frozen.

    torch takes the module that runs first for the root of the sharding, and scoring calls the decoder inside it; and
    which weights get gradients is decided when they are gathered for the first time.
    """
    import torch

    with torch.no_grad():
        model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=model.device))
    release_gathered_weights(model)


def release_gathered_weights(model: Any) -> None:
    """Free what a forward pass without gradients has left gathered: the last norm, the head and what is tied to it.

    An optimizer made while they are gathered would hold the copies, and its steps would be lost.
    """
    from torch.distributed.fsdp import FSDPModule

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def check_sharding(config: Config, device: Device) -> None:
    """Errors: what this machine turned out to be cannot be sharded over, though the config reads well."""
    import torch

    if device.sharding != "fsdp":
        return
    if device.device == "cpu" and torch.cuda.is_available():
        raise UserError(
            "`hardware.sharding=fsdp` with hardware.device=cpu on a machine with a GPU would shard over the GPU. "
            "Launch with CUDA_VISIBLE_DEVICES= (empty), or choose a CUDA preset."
        )
    if device.dtype == "float16" and config.adapter.name == "full":
        raise UserError(
            "`hardware.sharding=fsdp` cannot train all weights in float16, which is what this GPU resolves "
            f"hardware.dtype={config.hardware.dtype} to: each process would scale its own part of the gradients. "
            "Set adapter=lora or hardware.dtype=float32."
        )
