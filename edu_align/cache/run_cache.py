"""What one run may take from earlier runs instead of computing it, and what it did take."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from edu_align.cache.keys import adapter_content, compute_settings, weights_content
from edu_align.cache.store import Codec, Store
from edu_align.config.schema import Config
from edu_align.models.device import Device
from edu_align.models.locate import Location
from edu_align.runs.folder import RunFolder
from edu_align.utils.distributed import count
from edu_align.utils.hashing import digest

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
        value, found = self.store.get_or_compute(kind, key, codec, compute)
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
        weights = weights_content(self.config, self.weights, self.root / "files")
        return digest(weights, compute_settings(self.config, self.device))

    def report(self, folder: RunFolder) -> None:
        """Keep `origins` in run.json (`shared`), and print a line where anything was taken."""
        folder.save(shared=self.origins)
        found = [f"{kind} ({origin})" for kind, origin in self.origins.items() if origin not in ("computed", "loaded")]
        if found:
            print(f"edu_align: taken from earlier work: {', '.join(found)}", flush=True)
