"""Subjects of the tests: a real model asked through the package's own functions, and one that reads answers out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edu_align.evaluation.suite.results import Scored
from edu_align.records import Message, Response, ResponseGroup
from tests.answers import generate, score_replies

Rows = Sequence[tuple[Sequence[Message], Sequence[str]]]
Score = Callable[[Sequence[Message], str], Scored]


def dialogue(key: str, text: str, replies: dict[str, tuple[str, float]]) -> ResponseGroup:
    """`dialogue("q1", "text", {"Expert": ("reply", 8.0)})`: a group as MRBench has it."""
    responses = tuple(Response(said, score, author=author) for author, (said, score) in replies.items())
    return ResponseGroup((Message("user", text),), responses, f"row {key}", "mrbench", key)


@dataclass
class ReadingSubject:
    """Replies and log-probabilities are computed from the texts by given functions: its own, its reference's ..."""

    logp: Score = lambda prompt, text: (-float(len(text)), max(1, len(text)))
    reference: Score | None = None
    base: Score | None = None
    reward: Callable[[Sequence[Message], str], float] | None = None
    reply: Callable[[Sequence[Message]], str] = lambda prompt: ""
    base_reply: Callable[[Sequence[Message]], str] = lambda prompt: ""
    state: Callable[[Sequence[Message], str], Sequence[float]] = lambda prompt, text: (0.0,)
    label: str = "base"
    tokenizer: Any = None
    batches: list[int] = field(default_factory=list)

    def score(self, rows: Rows) -> list[list[Scored]]:
        return [[self.logp(prompt, text) for text in texts] for prompt, texts in rows]

    def reference_score(self, rows: Rows) -> list[list[Scored]] | None:
        return self.reference and ReadingSubject(self.reference).score(rows)

    def base_score(self, rows: Rows) -> list[list[Scored]] | None:
        return self.base and ReadingSubject(self.base).score(rows)

    def rewards(self, rows: Rows) -> list[list[float]] | None:
        return self.reward and [[self.reward(prompt, text) for text in texts] for prompt, texts in rows]

    def replies(self, prompts: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
        self.batches.append(len(prompts))
        return [self.reply(prompt) for prompt in prompts]

    def base_replies(self, prompts: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
        return [self.base_reply(prompt) for prompt in prompts]

    def base_states(self, rows: Rows) -> list[Any]:
        return [np.array([self.state(prompt, text) for text in texts]) for prompt, texts in rows]


@dataclass
class ModelSubject(ReadingSubject):
    """A loaded model."""

    model: Any = None
    max_length: int = 2048

    def score(self, rows: Rows) -> list[list[Scored]]:
        groups = [
            ResponseGroup(tuple(prompt), tuple(Response(text, 0.0) for text in texts), str(i), "", str(i))
            for i, (prompt, texts) in enumerate(rows)
        ]
        scored = score_replies(self.model, self.tokenizer, groups, self.max_length)
        return [list(zip(logps, counts, strict=True)) for logps, counts in scored]

    def replies(self, prompts: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
        return generate(self.model, self.tokenizer, prompts, max_new_tokens)
