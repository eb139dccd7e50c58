"""The base model and the tokenizer, loaded once for all runs of a process, and what each run trains on them.

A run never gets the model that is kept. It gets a copy of its modules, config and buffers over the same weights: what
PEFT, TRL and packing put into that copy (layers, forwards, hooks, flags) ends with the run, and the next one starts
from what was loaded. Weights themselves are never copied, so two runs cost one base. They are frozen in every run that
shares them, and torch counts writes to them, so a base that was written to after all is loaded again.
"""

import copy
import gc
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edu_align.config.schema import Config, ModelConfig
from edu_align.fused.copies import settle_copies
from edu_align.models.device import Device
from edu_align.models.locate import Location, weights_content
from edu_align.models.sharding import init_fsdp_root, is_sharded
from edu_align.models.tokenizer import load_tokenizer, tokenizer_identity
from edu_align.models.weights import add_adapter, continue_adapter, load_model
from edu_align.utils.hashing import digest


@dataclass
class _Kept:
    """Something loaded; `key` says from what, `state` what it looked like then."""

    key: str
    loaded: Any
    state: Any = None


_base: _Kept | None = None
_tokenizer: _Kept | None = None


def base_model(config: Config, location: Location, device: Device) -> tuple[Any, bool]:
    """A copy of the base model over shared weights, and whether they were loaded already.

    Another base, number format, device or way to attend lets go of the one that was kept before it loads its own. Only
    for runs that train no weight of the base: see `forget`.
    """
    global _base
    key = digest(
        weights_content(config, location),
        asdict(config.hardware)["double_quantization"],
        [device.device, device.dtype, device.attention, device.quantization],
    )
    kept = _base
    if kept is not None and (kept.key != key or kept.state != _writes(kept.loaded)):
        kept = None
        forget()
    if kept is None:
        loaded = load_model(config.model, location, device, config.seed, config.hardware.double_quantization)
        loaded.requires_grad_(False)
        _base = _Kept(key, loaded, _writes(loaded))
        return over_shared_weights(loaded), False
    return over_shared_weights(kept.loaded), True


def forget() -> None:
    """Let go of the kept base: before another is loaded, and before full fine-tuning, which needs the memory."""
    global _base
    if _base is not None:
        _base = None
        gc.collect()


def over_shared_weights(model: Any) -> Any:
    """A copy of `model` whose weights are those of `model`, frozen; everything else is its own."""
    import torch

    memo: dict[int, Any] = {}
    for weight in model.parameters():
        plain = type(weight) is torch.nn.Parameter
        memo[id(weight)] = torch.nn.Parameter(weight.detach(), requires_grad=False) if plain else weight
        if not plain:  # 4-bit weights and the constants beside them, which nothing changes
            memo[id(weight.quant_state)] = weight.quant_state
    return copy.deepcopy(model, memo)


def shared_tokenizer(model: ModelConfig, location: Location) -> Any:
    """`load_tokenizer`, once a process; with padding and cutting as they were when it was loaded."""
    global _tokenizer
    known = digest(asdict(model), str(location.folder), location.identity, tokenizer_identity(model, location))
    if _tokenizer is None or _tokenizer.key != known:
        loaded = load_tokenizer(model, location.folder)
        _tokenizer = _Kept(known, loaded, {name: getattr(loaded, name) for name in TOKENIZER_FLAGS})
        return loaded
    for name, value in _tokenizer.state.items():
        setattr(_tokenizer.loaded, name, value)
    _tokenizer.loaded.backend_tokenizer.no_padding()
    _tokenizer.loaded.backend_tokenizer.no_truncation()
    return _tokenizer.loaded


TOKENIZER_FLAGS = ("padding_side", "truncation_side", "chat_template", "pad_token", "model_max_length")


def _writes(model: Any) -> list[int]:
    """How often each weight was written to; copies over the same weights count along."""
    return [weight._version for weight in model.parameters()]


def weights_of(config: Config, location: Location, start: Path | None) -> Location:
    """Where the weights under the adapter come from: `location`, or the run that full fine-tuning starts from."""
    if config.adapter.name == "full" and start is not None:
        return replace(location, folder=start / "model")
    return location


def adapter_in(start: Path) -> Path:
    """The adapter of a run's folder, or the folder itself where it is an adapter's."""
    return start / "adapter" if (start / "adapter").is_dir() else start


def build_model(
    config: Config, location: Location, device: Device, start: Path | None, origins: dict[str, str] | None = None
) -> Any:
    """The model that training begins from: a new adapter, that of `start` (a finished run, or an adapter's folder), or
    all weights trainable.

    Adapters come on the base that this process has loaded already, if it has; `origins` says which.
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
        model = continue_adapter(model, adapter_in(start)) if start else add_adapter(model, config.adapter, config.seed)
        settle_copies(model, config.hardware)
    if is_sharded(model):
        init_fsdp_root(model)
    return model
