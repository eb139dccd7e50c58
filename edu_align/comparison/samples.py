"""Replies side by side: the same prompts for every model, chosen by their content and never by hand."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edu_align.comparison.models import Model

COUNT = 20
HUMAN = ("human", "expert", "reference", "reference_reply")  # keys of an example that hold the human's reply
RULE = (
    f"The {COUNT} dialogues of the smallest sha256, among those whose stored replies every model shares and that a "
    "human tutor answered too; no one chose them. Replies are greedy."
)


@dataclass(frozen=True)
class Sample:
    """One prompt with `replies` by model label, and what the human tutor wrote there."""

    digest: str
    prompt: tuple[tuple[str, str], ...]
    replies: dict[str, str]
    human: str


def samples(models: Sequence[Model], count: int = COUNT) -> list[Sample]:
    """At most `count` prompts that all `models` and a human answered, by the rule that RULE states."""
    said = {model.label: _examples(model) for model in models}
    shared = set.intersection(*(set(found) for found in said.values())) if said else set()
    chosen = sorted(shared)[:count]
    return [_sample(digest, {label: found[digest] for label, found in said.items()}) for digest in chosen]


def digest_of(prompt: Sequence[Mapping[str, Any]]) -> str:
    """sha256 over the roles and texts of a dialogue."""
    turns = [[str(turn.get("role", "")), str(turn.get("content", ""))] for turn in prompt]
    return hashlib.sha256(json.dumps(turns, ensure_ascii=False).encode()).hexdigest()


def _examples(model: Model) -> dict[str, dict[str, Any]]:
    """Digest of a prompt -> its row, of the rows that hold a prompt, a reply and a human's reply."""
    found: dict[str, dict[str, Any]] = {}
    for metric in sorted(model.results):
        for row in model.results[metric].examples:
            if isinstance(row.get("prompt"), list | tuple) and isinstance(row.get("reply"), str) and _human(row):
                found.setdefault(digest_of(row["prompt"]), row)
    return found


def _sample(digest: str, rows: Mapping[str, Mapping[str, Any]]) -> Sample:
    first = next(iter(rows.values()))
    prompt = tuple((str(turn.get("role", "")), str(turn.get("content", ""))) for turn in first["prompt"])
    return Sample(digest, prompt, {label: str(row["reply"]) for label, row in rows.items()}, _human(first))


def _human(row: Mapping[str, Any]) -> str:
    return next((str(row[key]) for key in HUMAN if row.get(key)), "")
