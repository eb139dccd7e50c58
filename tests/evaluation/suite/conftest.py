"""A subject whose scores are written down, and groups as MRBench has them."""

from collections.abc import Callable

import pytest

from edu_align.records import Message, Response, ResponseGroup
from tests.evaluation.suite.subjects import ReadingSubject


@pytest.fixture
def scripted() -> Callable[..., ReadingSubject]:
    """`scripted(own, reference, base)`: a subject that scores by functions of prompt and reply."""
    return lambda *scores: ReadingSubject(*scores)


@pytest.fixture
def dialogue() -> Callable[..., ResponseGroup]:
    """`dialogue("q1", "text", {"Expert": ("reply", 8.0)})`."""

    def make(key: str, text: str, replies: dict[str, tuple[str, float]]) -> ResponseGroup:
        responses = tuple(Response(said, score, author=author) for author, (said, score) in replies.items())
        return ResponseGroup((Message("user", text),), responses, f"row {key}", "mrbench", key)

    return make
