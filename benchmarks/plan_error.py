"""How far the plan is from the measured peak memory: short runs of smollm2 on this CPU, each in a process of its own.

`ours` is the planned peak, `peer` the measured one, in GiB; `ratio` is planned over measured. The sizes are those of
the presets, with six optimizer steps: glibc keeps gaps between passes of different lengths, so that the resident memory
of a CPU still grows over the first steps.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from edu_align.runs.environment import machine

BASE = [
    "hardware=cpu",
    "tracking=off",
    "evaluation.enabled=false",
    "trainer.max_steps=6",
    "dataset.max_train_records=48",
]
CASES = {
    "sft": ["trainer=sft"],
    "dpo": ["trainer=dpo"],
    "sft_larger_budget": ["trainer=sft", "hardware.per_device_batch_size=4"],
    "dpo_smaller_budget": ["trainer=dpo", "hardware.per_device_batch_size=1"],
    "dpo_unpacked": ["trainer=dpo", "hardware.packing=off"],
    "sft_full": ["trainer=sft", "adapter=full", "trainer.batch_size=2", "hardware.per_device_batch_size=2"],
    "dpo_checkpointing": ["trainer=dpo", "hardware.gradient_checkpointing=true"],
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
done = run(composed)
found = {"planned": planned.peak / 2**30, "measured": done.record["metrics"]["train/peak_memory_gib"]}
Path(sys.argv[1]).write_text(json.dumps(found))
"""


def measure() -> list[dict[str, Any]]:
    return [row(name, words) for name, words in CASES.items()]


def row(name: str, words: list[str]) -> dict[str, Any]:
    """The planned and the measured peak of a run of BASE and `words`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        run_name = f"run_name=plan_error-{name}-{Path(folder).name}"
        subprocess.run([sys.executable, "-c", CODE, str(file), *BASE, *words, run_name], check=True)
        found = json.loads(file.read_text(encoding="utf-8"))
    return {
        "name": f"plan_error_{name}", "ours": found["planned"], "peer": found["measured"],
        "peer_name": "measured peak", "ratio": found["planned"] / found["measured"], "unit": "GiB",
        "machine": machine(),
    }  # fmt: skip
