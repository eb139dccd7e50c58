"""Look at the data as the model will: the rows that are trained, as text, with the trained tokens marked."""

from itertools import groupby
from typing import Any

from edu_align.models.chat_template import IGNORED, marked
from edu_align.training.rows import Rows

SIDES = {"chosen": ("prompt_ids", "chosen_ids"), "rejected": ("rejected_prompt_ids", "rejected_ids")}


def preview(tokenizer: Any, rows: Rows, examples: int) -> str:
    """The first `examples` training examples, all their rows; what the loss reads stands between >>> and <<<."""
    blocks = []
    every = groupby(zip(rows.ids, rows.rows, strict=True), key=lambda pair: pair[0])
    for _, (name, found) in zip(range(examples), every, strict=False):
        sequences = [each for _, row in found for each in _sequences(row)]
        for number, (title, ids, labels) in enumerate(sequences, 1):
            part = f" row {number} of {len(sequences)}" if title == "conversation" and len(sequences) > 1 else ""
            trained = sum(label != IGNORED for label in labels)
            text = marked(tokenizer, ids, labels)
            blocks.append(f"--- {name}, {title}{part}: {len(ids)} tokens, {trained} trained\n{text}")
    return "\n".join(blocks)


def _sequences(row: dict[str, list[int]]) -> list[tuple[str, list[int], list[int]]]:
    """(title, ids, labels) of a row: a conversation, or both sides of a pair."""
    if "input_ids" in row:
        return [("conversation", row["input_ids"], row["labels"])]
    return [
        (side, row[prompt] + row[reply], [IGNORED] * len(row[prompt]) + row[reply])
        for side, (prompt, reply) in SIDES.items()
    ]
