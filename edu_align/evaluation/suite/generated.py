"""Replies of one model to the prompts of the suite: generated once, and shared by every metric that reads replies."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edu_align.evaluation.suite.items import Subject
from edu_align.evaluation.suite.prompts import Asked, digest
from edu_align.models.tokenizer import as_chat

BATCH = 16  # prompts that are answered together; more wait longer for the longest reply among them


@dataclass(frozen=True)
class Generated:
    """Prompts, and the reply to each by its item."""

    asked: tuple[Asked, ...]
    replies: Mapping[str, str]

    def only(self, wanted: Callable[[Asked], bool]) -> "Generated":
        """The part whose prompts are `wanted`; the replies are shared."""
        return Generated(tuple(one for one in self.asked if wanted(one)), self.replies)

    def row(self, one: Asked) -> dict[str, Any]:
        """Prompt and reply for people."""
        return {"item": one.item, "prompt": as_chat(one.turns), "reply": self.replies[one.item]}


def generate(subject: Subject, asked: Iterable[Asked], max_new_tokens: int, batch_size: int = BATCH) -> Generated:
    """Greedy replies of at most `max_new_tokens` tokens; equal dialogues are answered once.

    Batches hold prompts of like length and are the same at every start, and a subject keeps what it has answered, so a
    start that was stopped is gone on with.
    """
    everything = tuple(asked)
    distinct = {digest(one.turns): one for one in everything}
    ordered = sorted(distinct, key=lambda key: (sum(len(turn.content) for turn in distinct[key].turns), key))
    texts: dict[str, str] = {}
    for i in range(0, len(ordered), batch_size):
        batch = ordered[i : i + batch_size]
        replies = subject.replies([distinct[key].turns for key in batch], max_new_tokens)
        texts |= dict(zip(batch, replies, strict=True))
    return Generated(everything, {one.item: texts[digest(one.turns)] for one in everything})
