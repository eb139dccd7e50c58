"""Hand-made groups for the tests of this package."""

from edu_align.evaluation.preference import ScoredGroup
from edu_align.records import Message, Response, ResponseGroup

Words = list[str] | None
Floats = list[float] | None
PROMPT = (
    Message("system", "You are a kind tutor who asks questions."),
    Message("user", "A shop sells 12 red pens a day. How many in 3 days? I got 15."),
)


def group(
    scores: list[float], texts: Words = None, authors: Words = None, key: str = "g0", source: str = "local"
) -> ResponseGroup:
    texts = texts or [f"reply {number}" for number in range(len(scores))]
    authors = authors or [f"author {number}" for number in range(len(scores))]
    rows = zip(texts, scores, authors, strict=True)
    responses = tuple(Response(text, score, author=author) for text, score, author in rows)
    return ResponseGroup(PROMPT, responses, id=f"row {key}", source=source, group=key)


def scored(
    item: ResponseGroup,
    logp: list[float],
    tokens: list[int] | None = None,
    reference: Floats = None,
    base: Floats = None,
) -> ScoredGroup:
    counts = tuple(tokens or [1] * len(logp))
    return ScoredGroup(item, tuple(logp), counts, reference and tuple(reference), base and tuple(base))
