"""Jobs in this process, in turn: `python -m tests.scenarios.sweeping <outputs> <job numbers> [override ...]`.

After each job a line of JSON: its number, seconds of processor time and those of them in TRL's `train()` (so that other
programs on the machine do not count), resident memory in MiB.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tests.conftest import TINY

# Different rank, learning rate, beta, algorithm and start: what leaked from one job would show in the next.
JOBS = [
    ["trainer=sft", "trainer.learning_rate=2e-3", "adapter.rank=2", "adapter.dropout=0.1", "run_name=job0"],
    ["trainer=dpo", "trainer.beta=0.3", "trainer.learning_rate=5e-3", "adapter.rank=8", "run_name=job1"],
    ["trainer=dpo", "init_from=job0", "adapter.rank=2", "adapter.dropout=0.1", "trainer.beta=0.05", "run_name=job2"],
    ["trainer=dpo", "trainer.learning_rate=5e-4", "hardware.gradient_checkpointing=true", "run_name=job3"],
]


def job(outputs: Path, number: int, *overrides: str) -> Any:
    """Run job `number` (beyond the four: a DPO job with a learning rate of its own) and return its folder."""
    from edu_align.config.compose import compose
    from edu_align.training.run import run

    words = JOBS[number] if number < len(JOBS) else ["trainer=dpo", f"trainer.learning_rate={1e-4 * number}"]
    return run(compose([*TINY, f"outputs_root={outputs}", "data_root=null", *words, *overrides]))


def resident_mib() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main(outputs: Path, numbers: list[int], overrides: list[str]) -> None:
    from transformers import Trainer

    original, trained = Trainer.train, [0.0]

    def timed(self: Any, *arguments: Any, **options: Any) -> Any:
        began = time.process_time()
        result = original(self, *arguments, **options)
        trained[0] = time.process_time() - began
        return result

    Trainer.train = timed
    for number in numbers:
        began = time.process_time()
        job(outputs, number, *overrides)
        seconds = time.process_time() - began
        print("JOB", json.dumps([number, *(round(x, 3) for x in (seconds, trained[0], resident_mib()))]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(number) for number in sys.argv[2].split(",")], sys.argv[3:])
