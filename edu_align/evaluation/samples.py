"""Sampled replies as rows of a table: what can be said of a reply without a model or a person."""

from collections.abc import Iterable
from typing import Any

from edu_align.evaluation.baselines import longer, overlap, question_mark
from edu_align.records import Message, Response, ResponseGroup

Row = dict[str, Any]
COLUMNS: list[str | int] = [
    "step", "prompt", "reply", "reference_reply", "reply_words", "question_mark", "dialogue_overlap",
]  # fmt: skip


def with_metrics(row: Row) -> Row:
    """`row` {id, prompt, reply, reference_reply} and three numbers of the reply, by the rules of the baselines.

    `reply_words`; `question_mark`, whether it asks something; `dialogue_overlap`, the share (0 to 1) of its distinct
    words that the dialogue has already: a reply near 1 repeats the student.
    """
    prompt = tuple(Message(turn["role"], turn["content"]) for turn in row["prompt"])
    reply = ResponseGroup(prompt, (Response(row["reply"], 0.0),), "", "", "")
    return {
        **row,
        "reply_words": int(longer(reply)[0]),
        "question_mark": bool(question_mark(reply)[0]),
        "dialogue_overlap": round(overlap(reply)[0], 3),
    }


def table_rows(rows: Iterable[Row]) -> list[list[Any]]:
    """The rows in the order of COLUMNS, the prompt as text; `step` is the optimizer step."""
    return [[*_start(row), *(row[str(column)] for column in COLUMNS[2:])] for row in rows]


def _start(row: Row) -> tuple[int, str]:
    return row["step"], "\n".join(f"{turn['role']}: {turn['content']}" for turn in row["prompt"])
