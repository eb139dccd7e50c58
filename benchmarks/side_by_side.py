"""Both sides of a comparison in turns, each run in a process of its own, and the medians as rows of the table."""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edu_align.runs.environment import machine as this_machine

REPEATS = 3
Runs = dict[str, list[dict[str, float]]]  # "ours" and "trl" -> what each run measured


@dataclass(frozen=True)
class Line:
    """One row: its name, the task of `trainer_process`, what is read of it, the unit, and whether less is better."""

    name: str
    task: str
    key: str
    unit: str
    less: bool = False


def rows_of(lines: Sequence[Line], machine: str | None = None) -> list[dict[str, Any]]:
    """The rows of `lines`; each task is run once for all its lines."""
    found = {task: in_turns(task) for task in dict.fromkeys(line.task for line in lines)}
    return [row(line, found[line.task], machine or this_machine()) for line in lines]


def in_turns(task: str) -> Runs:
    """`REPEATS` runs of either side, ours first, in turns."""
    runs: Runs = {"ours": [], "trl": []}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "result.json"
        for _ in range(REPEATS):
            for side, results in runs.items():
                command = [sys.executable, "-m", "benchmarks.trainer_process", side, task, str(target)]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                results.append(json.loads(target.read_text(encoding="utf-8")))
    return runs


def row(line: Line, runs: Runs, machine: str) -> dict[str, Any]:
    """Medians of both sides; `ratio` is above 1 where ours is better."""
    ours, peer = (statistics.median(run[line.key] for run in runs[side]) for side in ("ours", "trl"))
    return {
        "name": line.name,
        "ours": ours,
        "peer": peer,
        "peer_name": f"trl {version('trl')}",
        "ratio": peer / ours if line.less else ours / peer,
        "unit": line.unit,
        "machine": machine,
    }
