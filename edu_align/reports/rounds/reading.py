"""What rounds have left, as far as they are: their record, each round's numbers and replies, and how they ended."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edu_align.reports.html.page import json_lines
from edu_align.utils.errors import UserError
from edu_align.utils.files import read_json

Row = dict[str, Any]
SCORE, LEAK, QUESTION, WORDS, KL, AGAIN, AGREED = (
    "score", "leak_rate", "question_rate", "words", "kl", "same_reply", "votes_agreement",
)  # fmt: skip
SHOWN = 6  # dialogues whose replies stand side by side, and replies of the highest and of the lowest score


@dataclass(frozen=True)
class Round:
    """`numbers`: of its tutor on the validation, by name; `samples`: of the replies that it learned from."""

    number: int
    run: str
    numbers: dict[str, Row]
    validation: list[Row]
    samples: dict[str, Row] = field(default_factory=dict)
    replies: list[Row] = field(default_factory=list)
    learned: int = 0


@dataclass(frozen=True)
class StoredRounds:
    """`result` is empty while they go on. `baselines`: {who: numbers} on the same dialogues."""

    folder: Path
    record: Row
    rounds: list[Round]
    baselines: dict[str, dict[str, Row]]
    result: Row

    @property
    def names(self) -> list[str]:
        """Of all numbers, those that tell most first."""
        first = (SCORE, AGREED, LEAK, QUESTION, WORDS, KL, AGAIN)
        every = dict.fromkeys(name for each in self.rounds for name in each.numbers)
        return [*(name for name in first if name in every), *(name for name in every if name not in first)]


def read_rounds(folder: Path) -> StoredRounds:
    """Errors: it is no folder of rounds, or none of them was measured yet."""
    record = read_json(folder / "rounds.json")
    found: list[Round] = []
    while measured := read_json(folder / f"round-{len(found)}" / "measured.json"):
        found.append(_round(folder / f"round-{len(found)}", measured))
    if record is None or not found:
        raise UserError(f"{folder} holds no round that was measured. Give the command of `edu_align.rounds` again.")
    baselines = read_json(folder / "round-0" / "baselines.json") or {}
    return StoredRounds(folder, record, found, baselines, read_json(folder / "result.json") or {})


def _round(place: Path, measured: Row) -> Round:
    samples = measured.get("samples") or {}
    replies = [
        {**row, **scored}
        for row, scored in zip(json_lines(place, "samples.jsonl"), json_lines(place, "scores.jsonl"), strict=False)
    ]
    validation = [row for row in json_lines(place, "validation.jsonl") if "reply" in row]
    return Round(
        measured["round"], measured["run"], measured["numbers"], validation, samples.get("numbers", {}), replies,
        samples.get("learned", 0),
    )  # fmt: skip
