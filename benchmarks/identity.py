"""GB/s at which a model's folder of 3.6 GB is known by its content the first time, and the time of asking again.

The peer is plain SHA-256 of the same file, as `sha256sum` does it on one core. The file is in memory for both.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edu_align.models.content import model_content
from edu_align.runs.environment import machine
from edu_align.utils import hashing
from edu_align.utils.errors import UserError
from edu_align.utils.files import free_bytes

ON_REQUEST = True  # it writes as much to the disk
ROOT = Path("outputs") / "bench"
RUNS = 3
TENSORS, TENSOR = 54, 1 << 26  # 3.6 GB in bytes


def measure() -> list[dict[str, Any]]:
    """The best of `RUNS`, since whatever else the machine does only slows it. `ratio` is ours / peer."""
    ROOT.mkdir(parents=True, exist_ok=True)
    if free_bytes(ROOT) < 2 * TENSORS * TENSOR:
        raise UserError(f"identity: {ROOT} has no room for a model of 3.6 GB and as much again. Make room there.")
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        weights, records = write_model(Path(folder)), Path(folder) / "records"

        def anew() -> None:
            shutil.rmtree(records, ignore_errors=True)
            hashing.forget()
            model_content(Path(folder), records)

        def again() -> None:
            hashing.forget()  # as a new process does
            model_content(Path(folder), records)

        size = weights.stat().st_size / 1e9
        first = size / _best(anew)
        second = _best(again) * 1e3
        peer = size / _best(lambda: hashing.file_sha256(weights))
    common = {"peer_name": "SHA-256 on one core", "machine": machine()}
    return [
        {"name": "identity_first", "ours": first, "peer": peer, "ratio": first / peer, "unit": "GB/s", **common},
        {"name": "identity_again", "ours": second, "peer": None, "ratio": None, "unit": "ms", **common},
    ]


def write_model(folder: Path) -> Path:
    """A folder of random weights, left alone for as long as it takes to be remembered."""
    from safetensors.numpy import save_file

    draw = np.random.default_rng(0)
    file = folder / "model.safetensors"
    save_file({f"{i}": draw.integers(0, 256, TENSOR, np.uint8) for i in range(TENSORS)}, file)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    time.sleep(hashing.TICK / 1e9 + 0.1)
    return file


def _best(act: Callable[[], Any]) -> float:
    """Seconds of the fastest of `RUNS`."""
    seconds = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)
