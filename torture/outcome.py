"""What finished commands leave that must not depend on how often they were killed, and how far two are apart."""

import json
import re
from pathlib import Path
from typing import Any

from edu_align.utils.jsonl import read_rows

_TIMES = re.compile(rb"(?<=seconds\": )[0-9.]+|in [0-9.]+ (s|seconds|minutes)|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:+]+")
_NUMBERS = re.compile(rb"[0-9.]+(e[+-][0-9]+)?")  # a card says how long it took, and what it took
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


def _timeless(numbers: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in numbers.items() if not key.endswith(TIMED)}
