"""Results of the suite as metrics store them: values drawn per item, the same items for every model."""

import json
import os
import random
from pathlib import Path
from typing import Any

from edu_align.evaluation.suite.results import MetricResult, Series
from edu_align.evaluation.suite.store import _packed, append_read
from edu_align.reports.comparison.models import Comparison, Model
from edu_align.reports.comparison.numbers import numbers_of
from edu_align.runs.folder import RunFolder
from edu_align.utils.files import write_json

GROUPS = 40
DIMENSIONS = ("mistake_identification", "mistake_location", "providing_guidance", "actionability")
EVIL = "<script>alert('x')</script> | **bold** ![a](http://a.b)\nsecond line"


def series(share: float, seed: int, groups: int = GROUPS, items: int = 5, scale: float = 1.0) -> Series:
    """`share` of the items are `scale`, the others 0; which ones depends on `seed`, partly on the item alone."""
    rows = []
    for group in range(groups):
        for name in (f"g{group}:{item}" for item in range(items)):
            draw = random.Random(f"{name}:{seed}").random() * 0.5 + random.Random(name).random() * 0.5
            rows.append((name, f"g{group}", scale * float(draw < share), 1.0))
    return Series.of(rows)


def prompt(number: int) -> list[dict[str, str]]:
    asked = f"Problem {number}: 3 x {number} pens? I got {number + 3}."
    return [{"role": "system", "content": "You are a tutor."}, {"role": "user", "content": asked}]


def results(skill: float, seed: int, implicit: bool = False, says: str = "What did you add?", prompts: int = 30) -> Any:
    """The metrics of one model: better pair accuracy, more questions and fewer leaks with more `skill`."""
    scorers = {"mean_logp": skill, **({"implicit": skill + 0.1} if implicit else {})}
    rules = {"chance": series(0.5, 900), "surface": series(0.6, 901), "longer": series(0.52, 902)}
    shifts = {"": 0.0, "_hard": -0.1, **{f"_{dimension}": -0.03 for dimension in DIMENSIONS}}
    pairs = {
        f"pair_accuracy{name}/{scorer}": series(share + shift, seed + place)
        for scorer, share in scorers.items()
        for place, (name, shift) in enumerate(shifts.items())
    }
    balanced = {f"pair_accuracy_balanced/{name}": series(share - 0.05, seed + 50) for name, share in scorers.items()}
    effect = {f"dialogue_effect/{name}": series(share / 2, seed + 55) for name, share in scorers.items()}
    human = {"human tutor": series(0.62, 903)}
    form = {"question_rate": series(skill, seed + 60), "words": series(skill, seed + 61, scale=40.0)}
    rows = tuple(
        {"item": f"p{n}", "prompt": prompt(n), "reply": f"{says} ({n}, {seed})", "human": f"Look at step {n}."}
        for n in range(prompts)
    )
    return {
        "pair_accuracy_balanced": _result("pair_accuracy_balanced", balanced, rules, "share", "higher"),
        "effect": _result("effect", effect, {}, "share", "higher"),
        "pair_accuracy": _result("pair_accuracy", pairs, rules, "share", "higher"),
        "selection_score": _result(
            "selection_score", {"selection_score/mean_logp": series(skill, seed + 70, scale=8.0)},
            {"random": series(0.69, 904, scale=8.0), "oracle": series(1.0, 905, scale=8.0)}, "score of 8", "higher",
        ),
        "leak": _result("leak", {"leak_rate": series(1 - skill, seed + 80)}, human, "share", "lower"),
        "form": MetricResult("form", "What replies look like.", form, dict.fromkeys(form, human),
                             {"question_rate": "share", "words": "words"}, dict.fromkeys(form, ""),
                             notes=("human tutors ask in 0.62",), examples=rows),
    }  # fmt: skip


def _result(name: str, measured: Any, rules: Any, unit: str, better: str) -> MetricResult:
    return MetricResult(
        name, f"{name} is a number.", measured, dict.fromkeys(measured, rules),
        dict.fromkeys(measured, unit), dict.fromkeys(measured, better),
    )  # fmt: skip


def run_folder(outputs: Path, name: str, trainer: str, parent: Path | None = None, seed: int = 1) -> Path:
    """A finished run with a metrics.jsonl as training leaves it."""
    facts = {"id": f"{seed:012x}", "trainer": trainer, "dataset": "mrbench", "seed": seed, "model": "smollm2"}
    facts |= {"base_model": "SmolLM2", "machine": "a laptop, 2 cores", "init_from": str(parent) if parent else None}
    folder = RunFolder.create(outputs / "runs" / name, facts)
    for step in range(1, 31):
        row: dict[str, Any] = {"step": step, "loss": 2.0 / step**0.2}
        if trainer == "dpo":
            row |= {"loss": 0.69 / step**0.2, "rewards/margins": step / 20, "rewards/chosen": step / 90}
            row |= {"rewards/rejected": -step / 25, "rewards/accuracies": min(1.0, 0.5 + step / 50)}
        folder.append("metrics.jsonl", row)
        if step % 10 == 0:
            more = {"eval_rewards/margins": step / 25} if trainer == "dpo" else {}
            folder.append("metrics.jsonl", {"step": step, "eval_loss": row["loss"] * 1.1, **more})
    folder.save(state="finished", seconds=12.5)
    return folder.path


def three(tmp_path: Path, **more: Any) -> list[Model]:
    """Base, SFT, and a DPO run that started from it."""
    sft = run_folder(tmp_path, "tutor-sft", "sft")
    dpo = run_folder(tmp_path, "tutor-dpo", "dpo", sft, seed=2)
    record = {path: json.loads((path / "run.json").read_text()) for path in (sft, dpo)}
    return [
        Model("base", "smollm2-aaaa", results(0.45, 100, **more)),
        Model("SFT", "smollm2-bbbb", results(0.5, 200, True, **more), run=sft, record=record[sft]),
        Model("DPO", "smollm2-cccc", results(0.75, 300, True, **more), sft="SFT", run=dpo, record=record[dpo]),
    ]


def compared(models: list[Model], split: str = "test", **more: Any) -> Comparison:
    numbers, tests = numbers_of(models, 0, 200, 0.95)
    return Comparison("tutors", split, tuple(models), tuple(numbers), 0.95, 200, 0, tests, **more)


def store(outputs: Path, run: Path, models: list[Model], split: str = "test", **settings: Any) -> None:
    """Write what the suite leaves of `models`, base first: result files, reads of the test split, the run's list."""
    files: dict[str, dict[str, str]] = {}
    for model in models:
        folder = outputs / "evaluations" / model.key
        (folder / split).mkdir(parents=True, exist_ok=True)
        for metric, result in model.results.items():
            path = folder / split / f"{metric}-{len(settings)}.json"
            key = {"settings": {"split": split, "max_new_tokens": 80, **settings}, "data": {"mrbench": "f" * 64}}
            write_json(path, {"key": key, **_packed(result)})
            files.setdefault(model.label, {})[metric] = os.path.relpath(path, run)
        if split == "test":
            append_read(folder / "test_reads.jsonl", list(model.results))
    (run / "evaluation").mkdir(exist_ok=True)
    write_json(run / "evaluation" / f"{split}.json", {"files": files, "notes": ["retention left out: no gsm8k"]})


def row(number: int, says: str, right: bool = False, told: bool = False, turns: int = 1) -> dict[str, Any]:
    """A student's talk as the metric stores it."""
    said = [("user", f"Problem {number}. I got 7."), *[("assistant", says), ("user", "So it is 8.")] * turns]
    talk = [{"role": role, "content": content} for role, content in said]
    return {
        "item": f"student {number}", "talk": talk, "opening": 1, "right": right, "told": told, "tutor_turns": turns,
    }  # fmt: skip


def student(says: str, numbers: range) -> MetricResult:
    """The metric of a tutor that says the same to each of these students."""
    rows = tuple(row(number, says, right=True) for number in numbers)
    return MetricResult("student", "Talks.", {"student_found": series(0.5, 1)}, examples=rows)
