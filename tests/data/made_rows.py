"""Rows of our own in the shapes of the sets that name the mistake, enough of each to be split and trained on."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

COUNT = 40  # questions of each set
LABELS = ("DIVIDE_TO_SIMPLIFY", "FORGOT_VARIABLE")


def cogtutorbugs() -> dict[str, list[Any]]:
    rows = []
    for i in range(2, COUNT + 2):
        step = {"eq1": f"{i}x={i * 7}", "Previous Action": None, "Filtered Feedback": "", "label": 1, "Outcome": "BUG"}
        away = f"To get rid of <expression>{i}x</expression>, divide by <expression>{i}</expression>."
        rows += [
            step | {"action": "SUB_SIDE", "Input": str(i), "eq2": f"{i}x-{i}={i * 7}-{i}", "Feedback": away,
                    "Label Name": LABELS[0]},
            step | {"action": "COMBINE_MUL", "Input": "7", "eq2": "7=7", "Feedback": "<b>7</b><hr>You forgot the x.",
                    "Label Name": LABELS[1]},
        ]  # fmt: skip
    return {"cogtutorbugs/bug_full.json": rows}


MADE: dict[str, Callable[[], dict[str, Any]]] = {"cogtutorbugs": cogtutorbugs}


def lay(root: Path, names: Sequence[str]) -> Path:
    """Write these sets' files under a data root."""
    for name in names:
        for path, content in MADE[name]().items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            lines = "\n".join(map(json.dumps, content)) if file.suffix == ".jsonl" else json.dumps(content)
            file.write_text(content if isinstance(content, str) else lines)
    return root
