"""What finished commands leave that must not depend on how often they were killed, and how far two are apart."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.utils.jsonl import read_rows

_TIMES = re.compile(rb"(?<=seconds\": )[0-9.]+|in [0-9.]+ (s|seconds|minutes)|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:+]+")
_NUMBERS = re.compile(rb"[0-9.]+(e[+-][0-9]+)?")  # a card says how long it took, and what it took
LOSSES = {"loss", "eval_loss"}
TIMED = ("runtime", "per_second", "peak_memory_gib")  # endings of names whose values are times or depend on them


def outcome_of(root: Path) -> dict[str, bytes]:
    """What lies below an outputs_root, by name: `outcome` of each run, its card and export, and measured metrics."""
    found = {
        f"{folder.name}/{name}": content
        for folder in sorted((root / "runs").iterdir())
        for name, content in outcome(folder).items()
    }
    files = (*root.glob("runs/*/README.md"), *root.glob("runs/*/export/**/*"), *root.glob("evaluations/**/*.json"))
    for file in filter(Path.is_file, files):
        text = file.read_bytes().replace(bytes(root), b"")
        found[file.relative_to(root).as_posix()] = (_NUMBERS if file.suffix == ".md" else _TIMES).sub(b"", text)
    return found


def outcome(folder: Path) -> dict[str, bytes]:
    """Bytes by name, without times: weights, every logged line, samples, the evaluation, the metrics of run.json."""
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    found = {
        "weights": next(folder.glob("*/*model.safetensors")).read_bytes(),
        "metrics.jsonl": "\n".join(json.dumps(_timeless(row)) for row in read_rows(folder / "metrics.jsonl")).encode(),
        "run.json": json.dumps({"state": record["state"], "metrics": _timeless(record["metrics"])}).encode(),
    }
    for name in ("samples.jsonl", "evaluation.json"):
        if (folder / name).is_file():
            found[name] = (folder / name).read_bytes()
    return found


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> int:
    """How many bytes differ, those of a file that only one of them has included."""
    total = 0
    for name in one.keys() | other.keys():
        a, b = one.get(name, b""), other.get(name, b"")
        total += sum(x != y for x, y in zip(a, b, strict=False)) + abs(len(a) - len(b))
    return total


@dataclass(frozen=True)
class Apart:
    """How far two runs are apart: the largest difference of a loss, relative to it, and of a weight."""

    loss: float = 0.0
    weight: float = 0.0

    def wider(self, other: "Apart") -> "Apart":
        return Apart(max(self.loss, other.loss), max(self.weight, other.weight))


def apart(one: Path, other: Path) -> Apart:
    """How far two finished runs of the same steps are apart. Errors: ValueError where they logged other steps."""
    from safetensors.torch import load_file

    losses = [
        [(row["step"], name, row[name]) for row in read_rows(folder / "metrics.jsonl") for name in LOSSES & row.keys()]
        for folder in (one, other)
    ]
    found = Apart()
    for (*place, a), (*same, b) in zip(*losses, strict=True):
        if place != same:
            raise ValueError(f"{one} and {other} logged other steps: {place} and {same}")
        found = found.wider(Apart(abs(a - b) / abs(b)))
    weights = [load_file(next(folder.glob("*/*model.safetensors"))) for folder in (one, other)]
    for name in weights[0].keys() & weights[1].keys():  # a sharded run writes a tied head a second time
        found = found.wider(Apart(0.0, float((weights[0][name] - weights[1][name]).abs().max())))
    return found


def _timeless(numbers: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in numbers.items() if not key.endswith(TIMED)}
