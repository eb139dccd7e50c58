"""What may be changed in a config so that a run takes less memory: named by the plan and by out-of-memory errors."""

from collections.abc import Iterator
from dataclasses import replace

from edu_align.config.rules import sharding
from edu_align.config.schema import AdapterConfig, Config, DPOTrainerConfig

LORA = AdapterConfig("lora", 32, 64, 0.0, ["all-linear"])


def alternatives(config: Config) -> Iterator[tuple[str, Config]]:
    """Overrides that may lower the peak, each with the config that it makes."""
    hardware, trainer = config.hardware, config.trainer
    sharded, full = hardware.sharding == "fsdp", config.adapter.name == "full"
    if hardware.per_device_batch_size > 1 and trainer.batch_size > 1:
        yield "hardware.per_device_batch_size=1", _with(config, per_device_batch_size=1)
    if not hardware.gradient_checkpointing:
        yield "hardware.gradient_checkpointing=true", _with(config, gradient_checkpointing=True)
    if full:
        yield "adapter=lora", replace(config, adapter=LORA)
    elif hardware.quantization == "none" and not sharded:
        yield "hardware.quantization=nf4", _with(config, quantization="nf4")
    if not sharded and _shardable(config):
        yield "hardware.sharding=fsdp", _with(config, sharding="fsdp")
    if "8bit" not in hardware.optimizer and hardware.device != "cpu" and not (full and sharded):
        yield "hardware.optimizer=paged_adamw_8bit", _with(config, optimizer="paged_adamw_8bit")
    if trainer.max_length > 128:
        shorter = replace(trainer, max_length=trainer.max_length // 2)
        yield f"trainer.max_length={shorter.max_length}", replace(config, trainer=shorter)
    if isinstance(trainer, DPOTrainerConfig) and not trainer.precompute_reference and full:
        yield "trainer.precompute_reference=true", replace(config, trainer=replace(trainer, precompute_reference=True))


def _shardable(config: Config) -> bool:
    values = {f"hardware.{key}": value for key, value in vars(config.hardware).items()} | {"hardware.sharding": "fsdp"}
    values |= {"adapter.name": config.adapter.name}
    values |= {f"trainer.{key}": value for key, value in vars(config.trainer).items()}
    return not list(sharding(values))


def _with(config: Config, **keys: object) -> Config:
    return replace(config, hardware=replace(config.hardware, **keys))  # type: ignore[arg-type]
