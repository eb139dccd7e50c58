"""The files of a run folder as tests read them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RunFiles:
    """run.json, and the rows of metrics.jsonl and samples.jsonl, empty without their file."""

    summary: dict[str, Any]
    history: list[dict[str, Any]]
    samples: list[dict[str, Any]]


def read_run(run: Path) -> RunFiles:
    def rows(name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (run / name).read_text().splitlines()] if (run / name).is_file() else []

    return RunFiles(json.loads((run / "run.json").read_text()), rows("metrics.jsonl"), rows("samples.jsonl"))
