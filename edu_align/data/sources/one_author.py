"""Replies of one author in one style, of which one fits: nothing but the dialogue tells which."""

from collections.abc import Iterable

from edu_align.records import Response

RIGHT_SCORE, WRONG_SCORE = 6.0, 2.0  # as far apart as Bridge's expert and novice


def right_and_wrong(right: str, wrong: Iterable[str], author: str) -> tuple[Response, ...]:
    """The right reply first, then the wrong ones."""
    return Response(right, RIGHT_SCORE, author=author), *(Response(text, WRONG_SCORE, author=author) for text in wrong)
