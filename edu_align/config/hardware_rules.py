"""Rules on what the hardware can do with the adapter, and on weights that are spread over several processes."""

from collections.abc import Iterator
from typing import Any

from edu_align.config.suggest import listed
from edu_align.processes import count

Values = dict[str, Any]
# What updates each number of a weight by itself, and so the part that a process holds. bitsandbytes' and Adafactor's
# steps do not: torch finds no rule for them on sharded tensors.
SHARDED_OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "sgd")


def hardware(values: Values) -> Iterator[str]:
    if values.get("hardware.quantization") == "nf4" and values.get("adapter.name") == "full":
        yield "`hardware.quantization` nf4 cannot be trained in full. Set adapter=lora or hardware.quantization=none."
    for key, word, instead in (("dtype", "float16", "float32"), ("attention", "flash_attention_2", "sdpa")):
        if values.get("hardware.device") == "cpu" and values.get(f"hardware.{key}") == word:
            yield f"`hardware.{key}` {word} is for CUDA, got hardware.device=cpu. Set hardware.{key}={instead}."
    if values.get("hardware.device") == "cpu" and values.get("hardware.packing_backend") == "flex":
        yield (
            "`hardware.packing_backend` flex is for CUDA: FlexAttention has no backward pass on a CPU. Got "
            "hardware.device=cpu. Set hardware.packing_backend=auto."
        )
    if values.get("adapter.name") == "lora":
        for key in ("adapter.rank", "adapter.alpha"):
            if values.get(key, 1) < 1:
                yield f"`{key}` must be >= 1 with adapter=lora, got {values[key]}. A common value is {key}=32."
        if values.get("adapter.target_modules") == []:
            yield "`adapter.target_modules` must name layers with adapter=lora, got []. Set it to [all-linear]."


def sharding(values: Values) -> Iterator[str]:
    """What `hardware.sharding=fsdp` cannot do, each found by trying it."""
    if values.get("hardware.sharding") != "fsdp":
        return
    if count() == 1:
        yield (
            "`hardware.sharding` fsdp spreads the weights over several processes, and this is one. Launch `torchrun "
            "--nproc-per-node=<GPUs> -m edu_align.train ...` (for a plan: WORLD_SIZE=<GPUs> before python), or set "
            "hardware.sharding=none."
        )
    if values.get("hardware.quantization") == "nf4":
        yield (
            "`hardware.sharding` fsdp cannot shard `hardware.quantization` nf4: adapters are not attached to sharded "
            "4-bit weights. Set hardware.sharding=none (every GPU then holds the 4-bit model) or "
            "hardware.quantization=none."
        )
    if values.get("adapter.name") != "full":
        return
    optimizer = values.get("hardware.optimizer")
    if optimizer is not None and optimizer not in SHARDED_OPTIMIZERS:
        yield (
            f"`hardware.optimizer` must be one of {listed(SHARDED_OPTIMIZERS)} with hardware.sharding=fsdp and "
            f"adapter=full, got {optimizer!r}: it cannot update sharded weights. Set hardware.optimizer=adamw_torch."
        )
    if values.get("hardware.dtype") == "float16":
        yield (
            "`hardware.dtype` float16 with hardware.sharding=fsdp and adapter=full would scale each process' part of "
            "the gradients by itself. Set hardware.dtype=bfloat16 or float32, or adapter=lora."
        )
    if values.get("trainer.precompute_reference") is False:
        yield (
            "`trainer.precompute_reference` must be true with hardware.sharding=fsdp and adapter=full, got False: "
            "sharded weights cannot be copied for a reference model. Set trainer.precompute_reference=true."
        )
