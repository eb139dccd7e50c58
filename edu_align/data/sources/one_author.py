"""Replies of one author in one style, of which one fits: nothing but the dialogue tells which."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edu_align.data.download import GitHubSource
from edu_align.data.rows.words import LeftOut
from edu_align.records import Record, Response

RIGHT_SCORE, WRONG_SCORE = 6.0, 2.0  # as far apart as Bridge's expert and novice


def right_and_wrong(right: str, wrong: Iterable[str], author: str) -> tuple[Response, ...]:
    """The right reply first, then the wrong ones."""
    return Response(right, RIGHT_SCORE, author=author), *(Response(text, WRONG_SCORE, author=author) for text in wrong)


@dataclass(frozen=True, kw_only=True)
class ComparedRows(GitHubSource):
    """Rows that are conversations each; the preference view is what `compared` makes of all those of a file."""

    compared: Callable[[Iterable[Record | LeftOut]], Iterator[Record | LeftOut]]

    def read(self, name: str, file: Path, view: str) -> Iterator[Record | LeftOut]:
        rows = super().read(name, file, "conversation")
        return rows if view == "conversation" else self.compared(rows)
