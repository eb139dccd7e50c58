"""What DPO takes with and without what saves memory, on this CPU: each way in a process of its own.

`peer` is training as it is where memory is plenty: everything is kept for the backward pass, and every adapted weight
beside its adapter. `ours` is the same with what the row's name says. Rows are peak memory in GiB, and seconds of
training, two steps of 32 pairs; the reference model is scored before them. The model is EDU_ALIGN_MODEL (a preset,
folder or .gguf file; smollm2 unless given), the data MRBench in EDU_ALIGN_DATA. EDU_ALIGN_WAYS may name some of WAYS,
EDU_ALIGN_WORDS hold further words for all runs.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from edu_align.runs.environment import machine
from edu_align.utils.errors import UserError
from edu_align.utils.words import listed

ON_REQUEST = True
DATA = "EDU_ALIGN_DATA"
BASE = [
    "trainer=dpo", "dataset=mrbench", "hardware=cpu", "hardware.dtype=bfloat16", "trainer.max_steps=2",
    "trainer.batch_size=32", "dataset.max_eval_records=1", "tracking=off", "evaluation.enabled=false", "cache_gb=0",
    "force=true",
]  # fmt: skip
KEPT, LEFT_OUT = "hardware.adapted_copies=on", "hardware.adapted_copies=off"
PEER = ["hardware.gradient_checkpointing=false", KEPT]
WAYS = {
    "selective_without_copies": ["hardware.gradient_checkpointing=selective", LEFT_OUT],
    "full_without_copies": ["hardware.gradient_checkpointing=full", LEFT_OUT],
    "without_copies": ["hardware.gradient_checkpointing=false", LEFT_OUT],
    "selective": ["hardware.gradient_checkpointing=selective", KEPT],
}
CODE = """
import json, sys
from pathlib import Path
from omegaconf import OmegaConf
from edu_align.config.compose import compose
from edu_align.planning.plan import make_plan
from edu_align.training.run import run
composed = compose(sys.argv[2:])
planned = make_plan(OmegaConf.to_object(composed))
metrics = run(composed).record["metrics"]
found = {name: metrics[f"train/{name}"] for name in ("peak_memory_gib", "runtime", "loss")}
Path(sys.argv[1]).write_text(json.dumps({**found, "planned": planned.peak / 2**30}))
"""


def measure() -> list[dict[str, Any]]:
    """Two rows for each way of WAYS, or of those that EDU_ALIGN_WAYS names. Errors: no data, an unknown way."""
    if not os.environ.get(DATA):
        raise UserError(f"benchmark memory reads MRBench: set {DATA} to the folder of the public data sets.")
    chosen = os.environ.get("EDU_ALIGN_WAYS", " ".join(WAYS)).split()
    if unknown := [way for way in chosen if way not in WAYS]:
        raise UserError(f"EDU_ALIGN_WAYS must name some of {listed(list(WAYS))}, got {listed(unknown)}.")
    with tempfile.TemporaryDirectory() as folder:
        peer = found(PEER, Path(folder))
        every = {way: found(WAYS[way], Path(folder)) for way in chosen}
    rows = []
    for way, ours in every.items():
        for name, key, unit in (("memory", "peak_memory_gib", "GiB"), ("memory_time", "runtime", "s")):
            rows.append({
                "name": f"{name}_{way}", "ours": ours[key], "peer": peer[key], "peer_name": "everything kept",
                "ratio": ours[key] / peer[key], "unit": unit, "machine": machine(),
            })  # fmt: skip
    return rows


def found(words: list[str], folder: Path) -> dict[str, float]:
    """Peak memory, seconds, mean loss and planned peak of a run of BASE and `words`, whose outputs go to `folder`."""
    file = folder / "found.json"
    more = [f"data_root={os.environ[DATA]}", f"outputs_root={folder}/outputs"]
    more += [f"model={name}"] if (name := os.environ.get("EDU_ALIGN_MODEL")) else []
    more += os.environ.get("EDU_ALIGN_WORDS", "").split()
    subprocess.run([sys.executable, "-c", CODE, str(file), *BASE, *words, *more], check=True)
    read: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))
    print(f"memory: {' '.join(words)}: {read}", flush=True)
    return read
