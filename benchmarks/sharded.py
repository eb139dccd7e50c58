"""DPO in two processes that share the weights (FSDP2 over gloo) beside one: pairs a second, smollm2 on this CPU.

Each process has one thread, so two of them on two cores can be twice as fast at most. Both sides train LoRA of rank 32
on MRBench, 64 pairs a step, with the reference model scored in each step; the first step is not timed. The sides come
in turns, and the medians stand in the table. The data is read from the folder that EDU_ALIGN_DATA names.
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
from benchmarks.tasks import TASKS, words_of
from edu_align.runs.environment import machine
from edu_align.runs.folder import RunListener
from edu_align.utils.program import program

REPEATS = 2
STEPS = 3  # that are timed, after the first
TASK = TASKS["dpo_mrbench"]
TOGETHER = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
SIDES = {"sharded": (TOGETHER, ["hardware.sharding=fsdp"]), "alone": ([], [])}
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def measure() -> list[dict[str, Any]]:
    """`ratio` is how many times faster two processes are, and how many times less memory the first of them takes.

    Errors: no EDU_ALIGN_DATA.
    """
    require_data("sharded", "mrbench")
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(REPEATS):
        for side, results in found.items():
            results.append(once(side))
            print(f"{side}: {results[-1]}", flush=True)
    return [_row("pairs_per_second", "pairs/s", found), _row("peak_memory", "GiB", found, less=True)]


def once(side: str) -> dict[str, float]:
    """What one training of that side says of itself."""
    launcher, words = SIDES[side]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, *launcher, "-m", "benchmarks.sharded", folder, *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **ONE_THREAD})
        return dict(json.loads((Path(folder) / "found.json").read_text(encoding="utf-8")))


def _row(name: str, unit: str, found: dict[str, list[dict[str, float]]], less: bool = False) -> dict[str, Any]:
    ours, peer = (statistics.median(each[name] for each in found[side]) for side in ("sharded", "alone"))
    return {
        "name": f"sharded_{name}", "ours": ours, "peer": peer, "peer_name": "one process",
        "ratio": peer / ours if less else ours / peer, "unit": unit, "machine": machine(),
    }  # fmt: skip


class Clock(RunListener):
    """When each step was logged."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}

    def metrics(self, step: int, values: dict[str, float]) -> None:
        self.at.setdefault(step, time.perf_counter())


@program
def main() -> None:
    folder, *more = sys.argv[1:]
    from omegaconf import OmegaConf

    from edu_align.config.compose import compose
    from edu_align.training.run import run
    from edu_align.utils.distributed import is_first

    words = [*words_of(TASK, "ours", STEPS + 1), f"data_root={os.environ['EDU_ALIGN_DATA']}", f"outputs_root={folder}"]
    words += ["hardware.threads=1", "trainer.logging_steps=1", "trainer.save_steps=null", *more]
    clock = Clock()
    done = run(OmegaConf.create(compose(words)), clock)
    if is_first():
        assert done is not None
        pairs = STEPS * TASK.batches[0] / (clock.at[STEPS + 1] - clock.at[1])
        found = {"pairs_per_second": pairs, "peak_memory": done.record["metrics"]["train/peak_memory_gib"]}
        (Path(folder) / "found.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
