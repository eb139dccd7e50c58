"""A subject whose scores are written down, and groups as MRBench has them."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from edu_align.data.records import Message, Response, ResponseGroup
from edu_align.evaluation.suite.results import Scored

Rows = Sequence[tuple[Sequence[Message], Sequence[str]]]
Score = Callable[[Sequence[Message], str], Scored]


class Scripted:
    """A subject that scores by functions of prompt and reply: its own, its reference's, its base model's."""

    label = "scripted"
    tokenizer: Any = None

    def __init__(self, score: Score, reference: Score | None = None, base: Score | None = None) -> None:
        self.own, self.reference, self.base = score, reference, base

    def score(self, rows: Rows) -> list[list[Scored]]:
        return [[self.own(prompt, text) for text in replies] for prompt, replies in rows]

    def reference_score(self, rows: Rows) -> list[list[Scored]] | None:
        return self.reference and Scripted(self.reference).score(rows)

    def base_score(self, rows: Rows) -> list[list[Scored]] | None:
        return self.base and Scripted(self.base).score(rows)

    def replies(self, prompts: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
        raise AssertionError("nothing is generated here")


@pytest.fixture
def scripted() -> Callable[..., Scripted]:
    return Scripted


@pytest.fixture
def dialogue() -> Callable[..., ResponseGroup]:
    """`dialogue("q1", "text", {"Expert": ("reply", 8.0)})`."""

    def make(key: str, text: str, replies: dict[str, tuple[str, float]]) -> ResponseGroup:
        responses = tuple(Response(said, score, author=author) for author, (said, score) in replies.items())
        return ResponseGroup((Message("user", text),), responses, f"row {key}", "mrbench", key)

    return make
