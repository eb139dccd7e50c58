"""Dialogues with a simulated student, the same student beside every tutor, chosen by hash and never by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edu_align.reports.comparison.models import Model
from edu_align.utils.hashing import sha256

COUNT = 3
TITLE = "The tutor and a student"
RULE = (
    f"Up to {COUNT} simulated students, of the smallest sha256 among those that every model talked with. A student "
    "that executes a misconception corrects its work by a rule; another one is played by the base model."
)
Turns = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Side:
    """How one model's talk went on: its turns after the opening, and what came of it in words."""

    turns: Turns
    outcome: str


@dataclass(frozen=True)
class SharedTalk:
    """A student's opening, and the talk of each model with it by the model's label."""

    item: str
    opening: Turns
    sides: dict[str, Side]


def shared_talks(models: Sequence[Model], count: int = COUNT) -> list[SharedTalk]:
    """At most `count` students that all `models` talked with, by the rule that RULE states."""
    found = {model.label: _talks(model) for model in models}
    shared = set.intersection(*map(set, found.values())) if found else set()
    chosen = sorted(shared, key=sha256)[:count]
    return [_shared(item, {label: rows[item] for label, rows in found.items()}) for item in chosen]


def _talks(model: Model) -> dict[str, dict[str, Any]]:
    rows = (row for result in model.results.values() for row in result.examples)
    return {str(row["item"]): row for row in rows if isinstance(row.get("talk"), list | tuple)}


def _shared(item: str, rows: Mapping[str, Mapping[str, Any]]) -> SharedTalk:
    first = next(iter(rows.values()))
    sides = {label: Side(_turns(row)[int(row["opening"]) :], outcome(row)) for label, row in rows.items()}
    return SharedTalk(item, _turns(first)[: int(first["opening"])], sides)


def _turns(row: Mapping[str, Any]) -> Turns:
    return tuple((str(turn.get("role", "")), str(turn.get("content", ""))) for turn in row["talk"])


def outcome(row: Mapping[str, Any]) -> str:
    """`right after 2 turns`, `was told the answer` or `not right after 4 turns`."""
    turns = int(row["tutor_turns"])
    after = f"after {turns} turn{'' if turns == 1 else 's'}"
    told = ", and was told the answer" if row["told"] else ""
    return f"{'right' if row['right'] else 'not right'} {after}{told}"
