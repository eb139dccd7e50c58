"""What a subject is loaded from: a base model, a run's adapter or model, or an adapter that no run made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.config.schema import Config
from edu_align.errors import UserError
from edu_align.models.locate import Location
from edu_align.quiet import quiet


@dataclass(frozen=True)
class Weights:
    """What is loaded. `folder` holds `adapter/` or, after full fine-tuning, `model/`; None is the base model.

    `adapter` names an adapter's own folder instead. `config` decides base, number format and hardware.
    """

    config: Config
    folder: Path | None = None
    adapter: Path | None = None

    @property
    def changed(self) -> Path | None:
        """Where the files lie that differ from the base model; None for the base itself."""
        if self.adapter is not None or self.folder is None:
            return self.adapter
        return self.folder / ("model" if self.config.adapter.name == "full" else "adapter")


def load_weights(weights: Weights, location: Location, device: Any) -> Any:
    """The model, frozen, in eval mode and with shared prefixes packed. Adapters come on the process's shared base.

    Raises UserError for an adapter of another base model.
    """
    quiet()
    from edu_align.caching.base import base_model
    from edu_align.models.build import build_model
    from edu_align.packing.decoder import install_packing

    config = weights.config
    if weights.changed is None:
        model, _ = base_model(config, location, device)
    elif weights.adapter is not None:
        model = _adapted(base_model(config, location, device)[0], weights.adapter)
    else:
        model = build_model(config, location, device, weights.folder)
    model.eval()
    model.requires_grad_(False)
    install_packing(config.hardware.packing, model, config.hardware.packing_backend)
    return model


def _adapted(base: Any, adapter: Path) -> Any:
    from edu_align.models.weights import continue_adapter

    try:
        return continue_adapter(base, adapter)
    except (RuntimeError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"`adapter={adapter}` does not fit this base model ({reason}). Give the model it is of."
        ) from None
