"""Replies side by side: the same prompts for every model, chosen by their content and never by hand."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edu_align.reports.comparison.models import Model
from edu_align.reports.html.page import json_lines
from edu_align.utils.hashing import sha256

COUNT = 20
REFERENCES = ("human", "expert", "reference", "reference_reply")  # keys of an example that hold the reference
HUMAN, REFERENCE = "human tutor", "reference"
RULE = (
    f"Up to {COUNT} dialogues, of the smallest sha256 among those whose stored replies every model shares and that a "
    "human tutor answered too; no one chose them. Where the suite kept none, those that a training kept, before and "
    "after it. Replies are greedy."
)
Examples = dict[str, dict[str, dict[str, Any]]]  # model label -> digest of a prompt -> its row


@dataclass(frozen=True)
class Sample:
    """One prompt with `replies` by model label, and the `reference` reply there, written by a human tutor or given."""

    digest: str
    prompt: tuple[tuple[str, str], ...]
    replies: dict[str, str]
    reference: str
    reference_label: str = HUMAN


def samples(models: Sequence[Model], count: int = COUNT) -> list[Sample]:
    """At most `count` prompts that all `models` and a human answered, by the rule that RULE states."""
    found, label = {model.label: _examples(model) for model in models}, HUMAN
    if not any(found.values()):
        found, label = _kept_by_runs(models), REFERENCE
    shared = set.intersection(*map(set, found.values())) if found else set()
    chosen = sorted(shared)[:count]
    return [_sample(digest, {name: rows[digest] for name, rows in found.items()}, label) for digest in chosen]


def digest_of(prompt: Sequence[Mapping[str, Any]]) -> str:
    """sha256 over the roles and texts of a dialogue."""
    turns = [[str(turn.get("role", "")), str(turn.get("content", ""))] for turn in prompt]
    return sha256(json.dumps(turns, ensure_ascii=False))


def _examples(model: Model) -> dict[str, dict[str, Any]]:
    """Of the suite's rows those that hold a prompt, a reply and a human's reply."""
    found: dict[str, dict[str, Any]] = {}
    for metric in sorted(model.results):
        for row in model.results[metric].examples:
            if isinstance(row.get("prompt"), list | tuple) and isinstance(row.get("reply"), str) and _reference(row):
                found.setdefault(digest_of(row["prompt"]), row)
    return found


def _kept_by_runs(models: Sequence[Model]) -> Examples:
    """The rows of samples.jsonl: "before" is the model that the run started from, "after" the run's own."""
    found: Examples = {}
    for model in models:
        for row in json_lines(model.run, "samples.jsonl"):
            label = model.label if row["when"] == "after" else model.sft or model.base
            found.setdefault(label, {}).setdefault(digest_of(row["prompt"]), row)
    return found


def _sample(digest: str, rows: Mapping[str, Mapping[str, Any]], label: str) -> Sample:
    first = next(iter(rows.values()))
    prompt = tuple((str(turn.get("role", "")), str(turn.get("content", ""))) for turn in first["prompt"])
    return Sample(digest, prompt, {name: str(row["reply"]) for name, row in rows.items()}, _reference(first), label)


def _reference(row: Mapping[str, Any]) -> str:
    return next((str(row[key]) for key in REFERENCES if row.get(key)), "")
