"""Tokenized conversations, kept by the tokenizer, the records and what is done with long ones."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edu_align.caching.keys import code_content, digest, tokenizer_content
from edu_align.caching.shared import Shared
from edu_align.caching.tensors import TENSORS, Arrays, ragged, rows_of
from edu_align.data.records import Conversation, turn_values

if TYPE_CHECKING:
    from edu_align.trainers.sft import Counts, Row

KIND = "tokenized conversations"


def remembered_rows(
    shared: Shared | None,
    tokenizer: Any,
    conversations: Sequence[Conversation],
    max_length: int,
    mode: str,
    encode: Callable[..., "tuple[list[Row], Counts]"],
) -> "tuple[list[Row], Counts]":
    """What `encode` (`sft_rows`) makes of the conversations, computed now or earlier."""
    if shared is None or not shared.on:
        return encode(tokenizer, conversations, max_length, mode)
    fresh: list[tuple[list[Row], Counts]] = []

    def make() -> tuple[Arrays, dict[str, Any]]:
        fresh.append(encode(tokenizer, conversations, max_length, mode))
        rows, counts = fresh[0]
        columns = (ragged(name, [row[name] for row in rows]) for name in ("input_ids", "labels"))
        return {key: array for column in columns for key, array in column.items()}, asdict(counts)

    said = [turn_values(talk.messages) for talk in conversations]
    key = digest(tokenizer_content(tokenizer), code_content(), said, max_length, mode)
    arrays, facts = shared.once(KIND, key, TENSORS, make)
    if fresh:
        return fresh[0]
    from edu_align.trainers import sft

    columns = (rows_of(arrays, name) for name in ("input_ids", "labels"))
    return [{"input_ids": ids, "labels": labels} for ids, labels in zip(*columns, strict=True)], sft.Counts(**facts)
