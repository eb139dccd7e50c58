"""What a finished run leaves that must not depend on how often it was killed, and how far two runs are apart."""

import json
from pathlib import Path
from typing import Any

from edu_align.utils.jsonl import read_rows

TIMED = ("runtime", "per_second", "peak_memory_gib")  # endings of names whose values are times or depend on them


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
