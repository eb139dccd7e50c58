"""Many runs, each with one thing that goes wrong at a drawn step: what was injected, how often, and what was lost.

pytest -m slow -s tests/scenarios/test_injected.py      prints the table of RELIABILITY.md
"""

import math
import random
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from edu_align.runs.checkpoints import checkpoints, damage_of
from edu_align.runs.folder import read_record
from edu_align.training.divergence import Diverged
from tests.scenarios.memory import holds
from tests.scenarios.poison import poisoned
from tests.scenarios.test_out_of_memory import weights

pytestmark = pytest.mark.slow
TIMES = 24  # runs of each sort
WORDS = ["evaluation.enabled=false", "dataset.max_train_records=24", "trainer.batch_size=4", "trainer.max_steps=6"]
BATCH = "hardware.per_device_batch_size"


def drawn(draw: random.Random) -> list[str]:
    trainer, kind, packing = draw.choice(["sft", "dpo"]), draw.choice(["lora", "full"]), draw.choice(["on", "off"])
    return [f"trainer={trainer}", f"adapter={kind}", f"hardware.packing={packing}"]


def table(capsys: Any, head: str, rows: Counter[str]) -> None:
    with capsys.disabled():
        print(f"\n| {head} | runs |\n|---|---|")
        for name, times in sorted(rows.items()):
            print(f"| {name} | {times} |")


def test_numbers_that_are_not_finite(go: Any, tmp_path: Path, capsys: Any) -> None:
    found: Counter[str] = Counter()
    for number in range(TIMES):
        draw = random.Random(number)
        words, step, place = drawn(draw), draw.randrange(6), draw.randrange(4)
        what, value = draw.choice([*product(("loss", "gradient"), (math.nan, math.inf))])
        keep = ["trainer.save_steps=1", "trainer.save_total_limit=9", f"{BATCH}={draw.choice([1, 2, 4])}"]
        with poisoned(what, value, step, place) as names, pytest.raises(Diverged):
            go(*WORDS, *words, *keep, "run_name=injected", root=str(number))
        folder = tmp_path / str(number) / "runs" / "injected"
        facts, kept = read_record(folder)["diverged"], checkpoints(folder / "checkpoints")
        good = [at for at, path in kept.items() if not damage_of(path)]
        found[f"injected: a {what} of {value}"] += 1
        found["stopped at that very step"] += facts["step"] == step + 1
        found["named that row and no other"] += facts["rows"] == names
        found["kept every step before it, and none from it on"] += sorted(good) == list(range(1, step + 1))
    table(capsys, "one row that gives a number that is not finite", found)
    assert all(found[name] == TIMES for name in found if not name.startswith("injected"))


def test_memory_that_runs_out(go: Any, capsys: Any) -> None:
    found: Counter[str] = Counter()
    worst_loss = worst_weight = 0.0
    for number in range(TIMES):
        draw = random.Random(number)
        words, after = drawn(draw), draw.randrange(12)
        error, way = draw.choice(["cuda", "cpu", "python"]), draw.choice(["forward", "backward"])
        packed = "hardware.packing=on" in words
        limit = {"tokens": 1500} if packed else {"rows": 4 if "trainer=dpo" in words else 2}
        small = go(*WORDS, *words, f"{BATCH}=2", "run_name=small", root=str(number))
        with holds(**limit, kind=error, way=way, after=after) as failed:  # type: ignore[arg-type]
            done = go(*WORDS, *words, f"{BATCH}=4", "run_name=injected", root=str(number))
        if not failed:
            found["left out: no later pass was too large"] += 1
            continue
        found[f"injected: {error}, in the {way} pass"] += 1
        found["finished"] += done.record["state"] == "finished"
        found["passes made smaller once"] += len(done.record["out_of_memory"]) == 1
        found["passes made smaller more than once"] += len(done.record["out_of_memory"]) > 1
        lines = zip(done.rows("metrics.jsonl"), small.rows("metrics.jsonl"), strict=True)
        worst_loss = max(worst_loss, *(abs(a["loss"] / b["loss"] - 1) for a, b in lines if "loss" in a))
        one, two = weights(done.path), weights(small.path)
        worst_weight = max(worst_weight, *(float((one[name] - two[name]).abs().max()) for name in one))
        found["steps that were lost"] += small.record["metrics"]["train/steps"] - done.record["metrics"]["train/steps"]
    found[f"largest difference of a loss from a run that began smaller: {worst_loss:.1e} of it"] = TIMES
    found[f"largest difference of a trained weight: {worst_weight:.1e}"] = TIMES
    table(capsys, "memory that runs out", found)
    assert found["steps that were lost"] == 0
    assert worst_loss < 1e-4
    assert torch.isfinite(torch.tensor(worst_weight))
