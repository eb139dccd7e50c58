"""Training beside TRL on real tutoring data: pairs and tokens a second, and peak memory; smollm2 on this CPU.

Each side runs in a process of its own, in turns, `REPEATS` times; the medians stand in the table. The data is read from
the folder that EDU_ALIGN_DATA names. A step of ours has whole prompts with all their pairs (64 on MRBench). One of TRL
has 4, drawn at random: a padded batch of 64 needs more memory than a laptop has, and is no faster a pair.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.trainer_process import TASKS
from edu_align.errors import UserError
from edu_align.runs.facts import machine

REPEATS = 3
# Row of the table, task, what is read, unit, and whether more is better.
ROWS = (
    ("dpo_mrbench_pairs_per_second", "dpo_mrbench", "examples_per_second", "pairs/s", True),
    ("dpo_bridge_pairs_per_second", "dpo_bridge", "examples_per_second", "pairs/s", True),
    ("sft_mathdial_tokens_per_second", "sft_mathdial", "tokens_per_second", "tokens/s", True),
    ("dpo_mrbench_peak_memory", "dpo_mrbench", "peak_memory_gib", "GiB", False),
)


def measure() -> list[dict[str, Any]]:
    """`ratio` is how many times faster ours is, or how many times less memory it takes. Errors: no EDU_ALIGN_DATA."""
    if not Path(os.environ.get("EDU_ALIGN_DATA", "")).joinpath("mrbench").is_dir():
        raise UserError(
            "the benchmark training_speed reads MRBench, Bridge and MathDial: set EDU_ALIGN_DATA to their folder, got "
            f"{os.environ.get('EDU_ALIGN_DATA')!r}."
        )
    found = {task: _in_turns(task) for task in TASKS}
    rows = []
    for name, task, key, unit, more in ROWS:
        ours, peer = (statistics.median(run[key] for run in found[task][side]) for side in ("ours", "trl"))
        ratio = ours / peer if more else peer / ours
        rows.append(
            {"name": name, "ours": ours, "peer": peer, "peer_name": f"trl {_trl_version()}", "ratio": ratio,
             "unit": unit, "machine": machine()}
        )  # fmt: skip
    return rows


def _in_turns(task: str) -> dict[str, list[dict[str, float]]]:
    runs: dict[str, list[dict[str, float]]] = {"ours": [], "trl": []}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "result.json"
        for _ in range(REPEATS):
            for side, results in runs.items():
                command = [sys.executable, "-m", "benchmarks.trainer_process", side, task, str(target)]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                results.append(json.loads(target.read_text(encoding="utf-8")))
    return runs


def _trl_version() -> str:
    from importlib.metadata import version

    return version("trl")
