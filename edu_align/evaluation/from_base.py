"""What the base model says of a run's held-out items, where the run goes on from another one's model."""

from contextlib import nullcontext
from typing import Any

from edu_align.caching.measured import remembered_measurement
from edu_align.caching.shared import RunCache
from edu_align.config.schema import Config
from edu_align.evaluation.held_out import HeldOut, Measurement
from edu_align.models.build import build_model
from edu_align.models.device import Device
from edu_align.models.locate import Location
from edu_align.models.sharding import release_gathered_weights
from edu_align.packing.decoder import install_packing


def measure_base(
    config: Config, location: Location, device: Device, model: Any, tokenizer: Any, cache: RunCache, held: HeldOut
) -> Measurement:
    """The base model in `location`: `model` with its adapter off, or, under full fine-tuning, loaded for this only.

    `cache`: the run's, which knows what lies under the adapter. Taken from earlier work where that measured the same.
    """
    if config.adapter.name == "full":
        model, cache = build_model(config, location, device, None), RunCache(config, location, device)
        install_packing(config.hardware.packing, model, config.hardware.packing_backend)
    with nullcontext() if config.adapter.name == "full" else model.disable_adapter():
        measured = remembered_measurement(cache, model, tokenizer, held)
    release_gathered_weights(model)
    return measured
