"""The order in which a model's work enters a forward pass: what begins alike together, so that it is computed once.

reply to score      p p p p a a
reply to score      p p p p b b b     one family: 4 + 2 + 3 tokens are computed
prompt to answer    p p p p
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edu_align.packing.budget import SHARED_SHARE, common


@dataclass(frozen=True)
class Work:
    """A row of token ids: one to score where there are `labels` (`chat_template.IGNORED` where nothing is), else a
    prompt to answer. `number` tells it from the others. `seed`: by which its reply is drawn, in every batch the same.
    """

    number: int
    ids: Sequence[int]
    labels: Sequence[int] | None = None
    seed: int | None = None


@dataclass
class Family:
    """Rows that begin alike, and for each the tokens that it adds to the row before it."""

    rows: list[Work] = field(default_factory=list)
    added: list[int] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """What one pass computes for all of them."""
        return sum(self.added) + len(self.rows[0].ids) - self.added[0]

    @property
    def asked(self) -> int:
        """How many of them are to be answered."""
        return sum(row.labels is None for row in self.rows)

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt to answer; 0 for none."""
        return max((len(row.ids) for row in self.rows if row.labels is None), default=0)


class Queue:
    """Families in the order of their prompts' lengths, so that replies written together are of like length.

    At most `pass_tokens` computed tokens enter at once, but one row.
    """

    def __init__(self, rows: Sequence[Work], pass_tokens: int) -> None:
        self.pass_tokens = pass_tokens
        self.families = deque(sorted(_families(rows), key=lambda family: family.longest))

    def __bool__(self) -> bool:
        return bool(self.families)

    @property
    def asked(self) -> int:
        """How many slots the next family would like."""
        return self.families[0].asked if self.families else 0

    @property
    def longest(self) -> int:
        return self.families[0].longest if self.families else 0

    def enter(self, free: int, longest: int) -> list[Work]:
        """The rows of the next pass, of which at most `free` are to be answered, with prompts of at most `longest`
        tokens but in the first family. Only the first one is cut.
        """
        found: list[Work] = []
        tokens = asked = 0
        while self.families:
            family = self.families[0]
            full = tokens + family.tokens > self.pass_tokens or asked + family.asked > free
            if found and (full or family.longest > longest):
                break
            cost = len(family.rows[0].ids)
            while family.rows and (not found or tokens + cost <= self.pass_tokens):
                if family.rows[0].labels is None and asked == free:
                    break
                row = family.rows.pop(0)
                family.added.pop(0)
                found.append(row)
                tokens, asked = tokens + cost, asked + (row.labels is None)
                cost = family.added[0] if family.rows else 0
            if family.rows:
                break
            self.families.popleft()
        return found


def _families(rows: Sequence[Work]) -> list[Family]:
    """As `packing.forest` makes trees of them."""
    keys = [np.asarray(row.ids, dtype=">u8").tobytes() for row in rows]  # bytes that sort as the tokens do
    found: list[Family] = []
    previous = b""
    for i in sorted(range(len(rows)), key=keys.__getitem__):
        shared = common(previous, keys[i], size=8)
        if not found or shared < SHARED_SHARE * min(len(previous), len(keys[i])) / 8:
            found.append(Family())
        found[-1].rows.append(rows[i])
        found[-1].added.append(len(rows[i].ids) - shared)
        previous = keys[i]
    return found
