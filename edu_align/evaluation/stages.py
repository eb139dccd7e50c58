"""What a report is made from: stages of one model, each with its run folder and its evaluation."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edu_align.errors import UserError
from edu_align.utils.jsonl import numbered_lines


@dataclass(frozen=True)
class Stage:
    """One state of the model. `label`: "base", "SFT", "DPO"; `run`: the folder of the run that led to it.

    `run` is None for a model that was not trained here. `evaluation` is a result of `evaluate_preferences`, where it
    may have one more key, `differences`: {label of an earlier stage: result of `compare_models`}.
    """

    label: str
    run: Path | None
    evaluation: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """The files of a run folder. `history` is one dict a logging step; both lists are empty without their file."""

    summary: dict[str, Any]
    history: list[dict[str, Any]]
    samples: list[dict[str, Any]]


def read_run(run: Path) -> RunRecord:
    """Read run.json (needed), metrics.jsonl and samples.jsonl of a run folder; UserError names the file and line."""
    if not (run / "run.json").is_file():
        raise UserError(f"{run} has no run.json, so it is not a run folder. Give a folder under outputs/runs.")
    summary = _parse((run / "run.json").read_text(encoding="utf-8"), str(run / "run.json"))
    return RunRecord(summary, _lines(run / "metrics.jsonl"), _lines(run / "samples.jsonl"))


def read_evaluation(run: Path) -> dict[str, dict[str, Any]]:
    """Read evaluation.json of a run folder: model label to result of `evaluate_preferences`."""
    path = run / "evaluation.json"
    if not path.is_file():
        raise UserError(f"{run} has no evaluation.json. Evaluate the run first, or train with evaluation.enabled=true.")
    return _parse(path.read_text(encoding="utf-8"), str(path))


def _lines(path: Path) -> list[dict[str, Any]]:
    return [_parse(line, f"{path} line {number}") for number, line in numbered_lines(path)]


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{where} is not JSON ({error}). Was the run cut short? Remove the line or run again."
        ) from None
    if not isinstance(content, dict):
        raise UserError(f"{where} must be a JSON object, got {text[:80]!r}. Write the file again from its run.")
    return content
