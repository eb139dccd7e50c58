"""Fitting texts of a case into sentences, and choosing a wording that belongs to a split."""

import re
from collections.abc import Sequence
from functools import cache
from random import Random

from edu_align.tutoring.splits import assign

_END = (".", "?", "!", ":")
# A name that is no word of its own ("x = 3", "f(2)") keeps its case at the start of a sentence.
_WORD = re.compile(r"(?:[a-z][a-z'-]+\b(?!\()|a )")


@cache
def of_split(phrasings: tuple[str, ...], split: str) -> tuple[str, ...]:
    """Those wordings of a move or slot that only `split` uses, in the order they are written in."""
    where = assign(phrasings)
    return tuple(text for text in phrasings if where[text] == split)


def pick(phrasings: tuple[str, ...], split: str, rng: Random) -> str:
    """One wording of the split, drawn evenly."""
    return rng.choice(of_split(phrasings, split))


def sentence(text: str) -> str:
    """`text` with a capital at its start, if it starts with a word, and a mark at its end; empty stays empty."""
    text = text.strip()
    if not text:
        return text
    if _WORD.match(text):
        text = text[0].upper() + text[1:]
    return text if text.endswith(_END) else text + "."


def sentences(lines: Sequence[str]) -> str:
    """Lines as running text: each one a sentence, one space between them."""
    return " ".join(sentence(line) for line in lines)
