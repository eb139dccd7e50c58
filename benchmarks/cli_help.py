"""Seconds until `--help` answers: edu_align's training command beside TRL's."""

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from edu_align.runs.environment import machine

RUNS = 5


def measure() -> list[dict[str, Any]]:
    """Medians, in seconds of wall time, of `RUNS` runs of either command taken in turns. `ratio` is peer / ours."""
    trl = Path(sys.executable).parent / "trl"  # not resolved: the script lies in the environment, beside its python
    commands = {"ours": [sys.executable, "-m", "edu_align.train", "--help"], "peer": [str(trl), "dpo", "--help"]}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            times[name].append(time.perf_counter() - start)
    ours, peer = statistics.median(times["ours"]), statistics.median(times["peer"])
    return [
        {
            "name": "cli_help_seconds",
            "ours": ours,
            "peer": peer,
            "peer_name": "trl dpo --help",
            "ratio": peer / ours,
            "unit": "s",
            "machine": machine(),
        }
    ]
