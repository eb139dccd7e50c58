"""GRPO's training pass: a dialogue computed once for its eight replies, beside every row by itself, on a CPU.

Both sides draw replies to MRBench's dialogues by the same seeds, and are timed in the passes of training steps alone,
forward and backward: writing the replies and scoring the reference model are left out. `hardware.packing=off` is TRL's
padded pass, two rows at a time, with our head. Every side runs in a process of its own. The data is read from the
folder that EDU_ALIGN_DATA names, the model is that of EDU_ALIGN_MODEL (smollm2).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.data import require_data
from edu_align.runs.environment import machine
from edu_align.utils.program import program

ON_REQUEST = True
SIDES = {"packed": "auto", "padded": "off"}
STEPS = 2  # that are timed, after the first
WORDS = [
    "trainer=grpo", "dataset=mrbench", "hardware=cpu", "hardware.per_device_batch_size=2", "tracking=off",
    "evaluation.enabled=false", "trainer.num_generations=8", "trainer.batch_size=16", f"trainer.max_steps={STEPS + 1}",
    "trainer.max_completion_length=48", "trainer.rewards={asks_question: 1, human_length: 1}",
    "dataset.max_train_records=12", "dataset.max_eval_records=1", "trainer.save_steps=null",
]  # fmt: skip


def measure() -> list[dict[str, Any]]:
    """`ratio` is how many times as long a padded step takes, and as much memory. Errors: no EDU_ALIGN_DATA."""
    require_data("grpo_pass", "mrbench")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for side in SIDES:
            target = Path(folder) / f"{side}.json"
            subprocess.run([sys.executable, "-m", "benchmarks.grpo_pass", side, str(target)], check=True)
            found[side] = json.loads(target.read_text(encoding="utf-8"))
    return [_row(name, unit, found) for name, unit in (("seconds_a_step", "s"), ("peak_memory", "GiB"))]


def _row(name: str, unit: str, found: dict[str, Any]) -> dict[str, Any]:
    ours, peer = found["packed"][name], found["padded"][name]
    return {
        "name": f"grpo_pass_{name}", "ours": ours, "peer": peer, "peer_name": "hardware.packing=off",
        "ratio": peer / ours, "unit": unit, "machine": machine(),
    }  # fmt: skip


@program
def main() -> None:
    side, target = sys.argv[1:]
    from omegaconf import OmegaConf

    from edu_align.config.compose import compose
    from edu_align.training.micro_batches import MicroBatching
    from edu_align.training.run import run

    spent: list[float] = []
    step = MicroBatching.training_step

    def timed(self: Any, *args: Any, **options: Any) -> Any:
        began = time.perf_counter()
        loss = step(self, *args, **options)
        spent.append(time.perf_counter() - began)
        return loss

    MicroBatching.training_step = timed  # type: ignore[method-assign]
    words = [*WORDS, f"hardware.packing={SIDES[side]}", f"data_root={os.environ['EDU_ALIGN_DATA']}"]
    words += [f"model={os.environ.get('EDU_ALIGN_MODEL', 'smollm2')}", f"outputs_root={Path(target).parent / side}"]
    done = run(OmegaConf.create(compose(words)))
    seconds = sum(spent[-STEPS:]) / STEPS
    print(f"edu_align: {side}: {seconds:.1f} s a step of training", flush=True)
    assert done is not None
    peak = done.record["metrics"]["train/peak_memory_gib"]
    Path(target).write_text(json.dumps({"seconds_a_step": seconds, "peak_memory": peak}), encoding="utf-8")


if __name__ == "__main__":
    main()
