"""Sweep folders as a sweep leaves them: run folders by RunFolder, intervals by the bootstrap, job files beside them."""

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from edu_align.evaluation.bootstrap import interval
from edu_align.evaluation.preference import Metric
from edu_align.runs.folder import RunFolder
from edu_align.utils.files import write_json

METRIC = "eval/pair_accuracy_logp"
GRID = {"trainer.beta": [0.05, 0.1, 0.3], "trainer.learning_rate": [1e-4, 2e-4]}
Values = Mapping[str, Any]


def entry(share: float, seed: int = 0, groups: int = 12, items: int = 10) -> dict[str, Any]:
    """A measured metric near `share`, with its interval over `groups` groups of `items` items."""
    draw = random.Random(seed)
    hits = [float(draw.random() < share) for _ in range(groups * items)]
    clusters = [f"g{at % groups}" for at in range(groups * items)]
    return Metric("pair_accuracy_logp", interval(hits, clusters, seed=0, samples=100)).as_json()


def run_folder(
    outputs: Path, name: str, values: Values, skill: float, seed: int = 0, split: str = "validation", steps: int = 8
) -> RunFolder:
    """A finished run: run.json, config.yaml, metrics.jsonl and evaluation.json."""
    folder = RunFolder.create(outputs / "runs" / name, {"id": f"{seed:012x}", "metrics": {}})
    before, after = entry(0.3, 99), entry(skill, seed)
    baselines = {"pair_accuracy": {"longer": entry(0.5, 7), "chance": entry(0.5, 8)}}
    settings = {"confidence": 0.95}
    evaluation = {
        "before": {"pair_accuracy_logp": before, "settings": settings},
        "after": {"pair_accuracy_logp": after, "baselines": baselines, "settings": settings},
    }
    write_json(folder.path / "evaluation.json", evaluation)
    for step in range(1, steps + 1):
        row = {"step": step, "loss": 0.7 - skill * step / 20, "rewards/margins": skill * step / 9}
        folder.append("metrics.jsonl", row)
    config = {"evaluation": {"split": split}, "objective": METRIC, **nested(values)}
    (folder.path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    metrics = {
        "train/loss": 0.7 - skill / 3, "train/peak_memory_gib": 1.25, "before/pair_accuracy_logp": before["value"],
        METRIC: after["value"],
    }  # fmt: skip
    folder.save(state="finished", seconds=12.5, metrics=metrics)
    return folder


def nested(values: Values) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        *parents, last = key.split(".")
        place = found
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return found


def job_file(folder: Path, number: int, values: Values, state: str = "waiting", **more: Any) -> None:
    record = {
        "number": number, "overrides": ["trainer=dpo", *(f"{key}={value}" for key, value in values.items())],
        "values": dict(values), "state": state, "run": None, "run_id": None, "objective": None, "error": None,
        "host": None, "pid": None, "seconds": None,
    }  # fmt: skip
    (folder / "jobs").mkdir(parents=True, exist_ok=True)
    write_json(folder / "jobs" / f"{number:04d}.json", {**record, **more})


def sweep_file(folder: Path, keys: Sequence[str], total: int, **more: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    words = ["-m", "trainer=dpo", "model=tiny", *(f"{key}=1,2" for key in keys)]
    record = {
        "name": folder.name, "command": words, "sampler": "grid", "objective": METRIC, "direction": "maximize",
        "keys": list(keys), "state": "finished", "started": "2026-01-02T03:04:05+0000",
        "updated": "2026-01-02T03:14:05+0000", "total": total, "versions": {},
    }  # fmt: skip
    write_json(folder / "sweep.json", {**record, **more})


def skill(values: Values) -> float:
    """What a job reaches: beta matters much, the learning rate little, the rest not at all."""
    return 0.5 + float(values.get("trainer.beta", 0)) + 100 * float(values.get("trainer.learning_rate", 0))


def grid_sweep(
    outputs: Path, name: str = "grid", grid: Mapping[str, Sequence[Any]] = GRID, *,
    reach: Callable[[Values], float] = skill, split: str = "validation", steps: int = 8, **more: Any,
) -> Path:  # fmt: skip
    """A finished grid; returns its folder. The item seeds are the jobs' numbers, so jobs differ by chance too."""
    folder = outputs / "sweeps" / name
    jobs = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    sweep_file(folder, list(grid), **{"total": len(jobs), **more})
    for number, values in enumerate(jobs):
        run = run_folder(outputs, f"{name}-{number}", values, reach(values), seed=number, split=split, steps=steps)
        objective = run.record["metrics"][METRIC]
        told = {"run": run.path.name, "run_id": run.record["id"], "objective": objective, "seconds": 13.0}
        job_file(folder, number, values, "finished", **told)
    return folder
