"""Whether a run's rows will be packed, by the rule that training asks, from the model's config.json alone."""

from edu_align.config.schema import Config
from edu_align.models.sizes import Sizes
from edu_align.packing.families import inexact_reason, stated_config


def unpacked_reason(config: Config) -> str | None:
    """Why the rows of this run will not be packed (`install_packing` says the same), or None where they will."""
    hardware, shape = config.hardware, config.model.architecture
    if hardware.packing == "off":
        return "hardware.packing=off"
    content = shape.content if isinstance(shape, Sizes) else {}
    known = {"model_type": shape.model_type, "max_position_embeddings": shape.max_position_embeddings}
    reason = inexact_reason(stated_config({**content, **known}), config.trainer.max_length)
    if reason is None and hardware.attention not in ("sdpa", "auto"):
        return f"attention {hardware.attention!r} is not sdpa, which takes a 4D mask of booleans"
    return reason
