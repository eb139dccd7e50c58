"""What one run may take from earlier runs instead of computing it, and what it did take."""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from edu_align.cache.store import Codec, Store
from edu_align.config.schema import Config
from edu_align.models.device import Device
from edu_align.models.locate import Location, weights_content
from edu_align.models.tokenizer import vocabulary_content
from edu_align.runs.environment import machine, package_versions
from edu_align.runs.folder import RunFolder
from edu_align.utils.distributed import count
from edu_align.utils.hashing import DIGITS, digest

# Folders and files of edu_align whose code decides what a model says.
CODE = ("cache", "data", "fused", "models", "packing", "records.py", "training", "utils/memory.py")
# Keys of `hardware` that change no number: how it is called, what fits, and how training steps.
NOT_IN_KEY = (
    "name", "memory_gb", "memory_check", "min_compute_capability", "per_device_batch_size", "eval_batch_size",
    "gradient_checkpointing", "adapted_copies", "optimizer", "threads",
)  # fmt: skip


def tokenizer_content(tokenizer: Any) -> str:
    """Over the vocabulary, the merges and every rule, the chat template and the special tokens."""
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    return digest(vocabulary_content(tokenizer), tokenizer.chat_template, special)


@functools.cache
def code_content() -> str:
    """Over the source of everything in CODE: an edit there makes no earlier result pass for a new one."""
    package = Path(__file__).resolve().parent.parent
    parts = (package / part for part in CODE)
    files = sorted(file for part in parts for file in ([part] if part.is_file() else part.rglob("*.py")))
    return digest([[str(file.relative_to(package)), file.read_text(encoding="utf-8")] for file in files])


@functools.cache
def environment_key() -> dict[str, Any]:
    """Versions of the packages, the code, and the processor."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"versions": package_versions(), "code": code_content(), "machine": machine(), "gpu": gpu}


def adapter_content(model: Any) -> str | None:
    """Over all that an adapter adds; None without one, and for a plain one that adds nothing yet or is off."""
    from peft.tuners.lora import LoraLayer

    layers: list[tuple[str, Any]] = [
        (name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer)
    ]
    if not any(not layer.disable_adapters for _, layer in layers):
        return None
    own = [(name, value) for name, value in [*model.named_parameters(), *model.named_buffers()] if _is_own(name)]
    plain = all(".lora_A." in name or ".lora_B." in name for name, _ in own)
    if plain and not any(bool(value.any()) for name, value in own if ".lora_B." in name):
        return None
    found = hashlib.sha256()
    for name, layer in layers:
        found.update(f"{name} {layer.scaling['default']}".encode())
    for name, value in own:
        found.update(name.encode())
        found.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:DIGITS]


def _is_own(name: str) -> bool:
    """Whether a parameter or buffer belongs to the adapter that is trained or was loaded."""
    return ".default." in name and ("lora_" in name or ".modules_to_save." in name)


def compute_settings(config: Config, device: Device) -> dict[str, Any]:
    """Everything but weights and inputs that decides the bits of a forward pass."""
    import torch

    hardware = {key: value for key, value in asdict(config.hardware).items() if key not in NOT_IN_KEY}
    chosen = [device.device, device.dtype, device.attention, device.quantization, device.sharding]
    return {**environment_key(), "hardware": hardware, "chosen": chosen, "threads": torch.get_num_threads()}


T = TypeVar("T")
FOLDER = ("cache", "shared")  # under outputs_root


class RunCache:
    """The cache as one run sees it. `origins`: for each part whether it was `computed` or came from `cache`, and for
    the base model whether it was `loaded` or in `memory`.

    Processes that train one run together take nothing: what they compute depends on how the batches were dealt out.
    """

    def __init__(self, config: Config, weights: Location, device: Device) -> None:
        """`weights`: where the model's weights come from, see `models.base_model.weights_of`."""
        self.config = config
        self.weights = weights
        self.device = device
        self.root = Path(config.outputs_root).joinpath(*FOLDER)
        self.store = Store(self.root, config.cache_gb if count() == 1 else 0)
        self.origins: dict[str, str] = {}

    @property
    def on(self) -> bool:
        return bool(self.store.limit)

    def get_or_compute(self, kind: str, key: str, codec: Codec[T], compute: Callable[[], T]) -> T:
        """The value of `compute`, computed now or earlier, recorded in `origins`; a part may be requested twice."""
        return self.get_or_extend(kind, key, codec, lambda found: True, lambda found: compute())

    def get_or_extend(
        self, kind: str, key: str, codec: Codec[T], enough: Callable[[T], bool], extend: Callable[[T | None], T]
    ) -> T:
        """Likewise of an entry that earlier runs may have filled in part, see `Store.get_or_extend`."""
        value, found = self.store.get_or_extend(kind, key, codec, enough, extend)
        if not self.on:
            return value
        before = self.origins.get(kind)
        now = "cache" if found else "computed"
        self.origins[kind] = now if before in (None, now) else "partly cache"
        return value

    def model_key(self, model: Any) -> str:
        """A key of what `model` computes: its weights, its adapter as it is now, and how it computes."""
        return digest(self._base, adapter_content(model))

    @functools.cached_property
    def _base(self) -> str:
        weights = weights_content(self.config, self.weights)
        return digest(weights, compute_settings(self.config, self.device))

    def report(self, folder: RunFolder) -> None:
        """Keep `origins` in run.json (`shared`), and print a line where anything was taken."""
        folder.save(shared=self.origins)
        found = [f"{kind} ({origin})" for kind, origin in self.origins.items() if origin not in ("computed", "loaded")]
        if found:
            print(f"edu_align: taken from earlier work: {', '.join(found)}", flush=True)
