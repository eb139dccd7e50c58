"""DPO on MRBench beside TRL with a model of half a billion parameters or more, read from a GGUF; bfloat16 on this CPU.

A step of ours has 64 pairs, whole prompts with all their pairs. TRL gets a few at a time, drawn at random, what it can
hold: a step of 64 is 16 passes of 4. TRL runs twice: as installed, and with glibc told to keep freed memory (the same
two settings that our training makes). Each side runs once, in a process of its own, and the two steps, or passes, after
the first are timed. EDU_ALIGN_DATA names the folder of the data, EDU_ALIGN_MODEL the file, and EDU_ALIGN_TRL_BATCH how
many pairs TRL gets (4).
"""

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.data import require_data
from edu_align.runs.environment import machine
from edu_align.utils.errors import UserError

ON_REQUEST = True
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "20000000000"}
SIDES: dict[str, tuple[str, dict[str, str]]] = {
    "ours": ("ours", {}), "trl": ("trl", {}), "trl_allocator_told": ("trl", ALLOCATOR),
}  # fmt: skip


def measure() -> list[dict[str, Any]]:
    """`ratio`: how many times as many pairs a second, or as little memory. Errors: no EDU_ALIGN_DATA or _MODEL."""
    require_data("gguf_training", "mrbench")
    if "EDU_ALIGN_MODEL" not in os.environ:
        raise UserError("the benchmark gguf_training trains a model: set EDU_ALIGN_MODEL to its .gguf file.")
    found = {name: _run(name, side, more) for name, (side, more) in SIDES.items()}
    return [
        {
            "name": f"dpo_mrbench_gguf_{key}_beside_{name}", "ours": found["ours"][key], "peer": found[name][key],
            "peer_name": f"trl {version('trl')}", "unit": unit, "machine": machine(),
            "ratio": found[name][key] / found["ours"][key] if less else found["ours"][key] / found[name][key],
        }
        for name in list(SIDES)[1:]
        for key, unit, less in (
            ("examples_per_second", "pairs/s", False),
            ("tokens_per_second", "tokens/s", False),
            ("peak_memory_gib", "GiB", True),
        )
    ]  # fmt: skip


def _run(name: str, side: str, more: dict[str, str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "result.json"
        command = [sys.executable, "-m", "benchmarks.trainer_process", side, "dpo_mrbench_gguf", str(target)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **more})
        result: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    print(f"edu_align: {name}: {json.dumps(result)}", flush=True)
    return result
