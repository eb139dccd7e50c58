"""Four DPO configurations on Bridge with smollm2 that train together, beside the same four one after the other.

Both sides are ours, each in a process of its own with model and libraries loaded by a first short run, in turns.
The seconds are those of all four runs, from their configs to their saved adapters, without measurements. The data is
read from the folder that EDU_ALIGN_DATA names.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.data import require_data
from edu_align.runs.facts import machine

REPEATS = 3
WORDS = (
    "trainer=dpo", "dataset=bridge", "model=smollm2", "hardware=cpu", "tracking=off", "evaluation.enabled=false",
    "trainer.batch_size=8", "trainer.max_steps=6", "dataset.max_train_records=48", "dataset.max_eval_records=1",
)  # fmt: skip
EACH = [(f"trainer.beta={beta}", f"trainer.learning_rate={rate}") for beta in (0.05, 0.3) for rate in (1.0e-4, 2.0e-4)]


def measure() -> list[dict[str, Any]]:
    """One row; `ratio` above 1 says how many times faster it is to train together. Errors: no EDU_ALIGN_DATA."""
    require_data("concurrent_adapters", "bridge")
    return [compare(WORDS, REPEATS)]


def compare(words: tuple[str, ...], repeats: int) -> dict[str, Any]:
    """Medians of `repeats` runs of either way. Errors: AssertionError where the final losses are not equal."""
    found: dict[str, list[dict[str, Any]]] = {"together": [], "alone": []}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "result.json"
        for _ in range(repeats):
            for way, results in found.items():
                command = [sys.executable, "-m", "benchmarks.concurrent_adapters", way, str(target), *words]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                results.append(json.loads(target.read_text(encoding="utf-8")))
    losses = zip(found["together"][0]["losses"], found["alone"][0]["losses"], strict=True)
    apart = max(abs(one - other) for one, other in losses)
    assert apart < 0.02, f"final losses differ by {apart}"
    ours, peer = (statistics.median(run["seconds"] for run in found[way]) for way in ("together", "alone"))
    return {
        "name": "four_adapters_seconds", "ours": ours, "peer": peer, "peer_name": "one after the other",
        "ratio": peer / ours, "unit": "s", "machine": machine(),
    }  # fmt: skip


def main() -> None:
    way, target, *words = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        Path(target).write_text(json.dumps(timed(way, words, folder)), encoding="utf-8")


def timed(way: str, words: list[str], folder: str) -> dict[str, Any]:
    """Seconds of all configs and the training loss of each, after one run of a single step."""
    from edu_align.config.load import compose
    from edu_align.run import run
    from edu_align.together import run_together

    words = [*words, f"outputs_root={folder}"]
    run(compose([*words, "trainer.max_steps=1", "run_name=first"]))
    cfgs = [compose([*words, *each]) for each in EACH]
    began = time.perf_counter()
    done = run_together(cfgs) if way == "together" else [run(cfg) for cfg in cfgs]
    seconds = time.perf_counter() - began
    for outcome in done:
        if isinstance(outcome, Exception):
            raise outcome
    return {"seconds": seconds, "losses": [run.record["metrics"]["train/loss"] for run in done]}  # type: ignore[union-attr]


if __name__ == "__main__":
    os.environ["TQDM_DISABLE"] = "1"
    main()
