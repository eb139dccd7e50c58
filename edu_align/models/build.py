"""Base model plus what is trained on it, in one call."""

import dataclasses
from pathlib import Path
from typing import Any

from edu_align.config.schema import Config
from edu_align.models.base_model import base_model, forget
from edu_align.models.device import Device
from edu_align.models.locate import Location
from edu_align.models.sharding import init_fsdp_root, is_sharded
from edu_align.models.weights import add_adapter, continue_adapter, load_model


def weights_of(config: Config, location: Location, start: Path | None) -> Location:
    """Where the weights under the adapter come from: `location`, or the run that full fine-tuning starts from."""
    if config.adapter.name == "full" and start is not None:
        return dataclasses.replace(location, folder=start / "model")
    return location


def build_model(
    config: Config, location: Location, device: Device, start: Path | None, origins: dict[str, str] | None = None
) -> Any:
    """The model that training begins from: a new adapter, a finished run's (`start`), or all weights trainable.

    Adapters come on the base that this process has loaded already, if it has; `origins` says which. See `caching.base`.
    """
    full = config.adapter.name == "full"
    if full or device.sharding != "none":
        forget()
        weights = weights_of(config, location, start)
        model = load_model(config.model, weights, device, config.seed, config.hardware.double_quantization, full)
    else:
        model, there = base_model(config, location, device)
        if origins is not None:
            origins["base model"] = "memory" if there else "loaded"
    model.config.use_cache = False
    if not full:
        model = continue_adapter(model, start / "adapter") if start else add_adapter(model, config.adapter, config.seed)
    if is_sharded(model):
        init_fsdp_root(model)
    return model
