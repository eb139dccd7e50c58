"""What the tests ask of a model, in a line."""

from collections.abc import Sequence
from typing import Any

from edu_align.config.schema import GenerationConfig
from edu_align.models.answers import replies
from edu_align.models.scoring import columns, reply_rows, score
from edu_align.records import Message, ResponseGroup


def generate(model: Any, tokenizer: Any, prompts: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
    """Greedy replies, one a prompt."""
    return replies(model, tokenizer, prompts, GenerationConfig(max_new_tokens=max_new_tokens))


def score_replies(
    model: Any, tokenizer: Any, groups: Sequence[ResponseGroup], max_length: int
) -> list[tuple[tuple[float, ...], tuple[int, ...]]]:
    """For each group, the log-probability (nats) and the token count of each of its responses."""
    found = score(model, tokenizer, [reply_rows(tokenizer, group, max_length) for group in groups])
    return [columns(rows) for rows in found]
