"""Base model plus what is trained on it, in one call."""

from pathlib import Path
from typing import Any

from edu_align.config.schema import Config
from edu_align.models.device import Device
from edu_align.models.locate import Location
from edu_align.models.sharding import is_sharded, settle
from edu_align.models.weights import add_adapter, continue_adapter, load_model
from edu_align.together.place import here


def build_model(config: Config, location: Location, device: Device, start: Path | None) -> Any:
    """The model that training begins from: a new adapter, a finished run's (`start`), or all weights trainable."""
    full = config.adapter.name == "full"
    if full and start is not None:
        location = Location(start / "model", location.identity)

    def load() -> Any:
        return load_model(config.model, location, device, config.seed, config.hardware.double_quantization, full)

    model = load() if full else here().base(load)
    model.config.use_cache = False
    if not full:
        model = continue_adapter(model, start / "adapter") if start else add_adapter(model, config.adapter, config.seed)
    if is_sharded(model):
        settle(model)
    return model
