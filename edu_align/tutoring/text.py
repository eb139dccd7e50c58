"""Number tokens in English text: does a sentence mention a given value?

A token is a whole number ("1,250"), a decimal ("0.5", ".5"), a fraction ("7/12") or a mixed number ("2 3/4"), with its
sign when the minus sign is glued to it and is no subtraction ("-8", "(-8)", "-$8"; "5 - 8" and "5-8" hold 5 and 8).
Tokens are compared by exact value, so "12" is not in "7/12", "120" or "-12", while "0.5" is in "1/2 of it".
Ordinals ("2nd", "4th") and digits that are glued to a preceding letter ("x2") are no number tokens.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
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


_WHOLE = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
_NUMBER = re.compile(
    rf"""
    (?<![A-Za-z_]) (?<!\d) (?<!\d\.)
    (?P<sign>(?<![\w.)\]%])[-+])? [$£€]?
    (?: (?P<mixed>{_WHOLE})[ ](?P<mixed_top>\d+)/(?P<mixed_bottom>\d+)
      | (?P<top>{_WHOLE})/(?P<bottom>\d+)
      | (?P<plain>{_WHOLE}(?:\.\d+)?|\.\d+) )
    (?!\d) (?!(?:st|nd|rd|th)\b)
    """,
    re.VERBOSE,
)
_AND_MIXED = re.compile(rf"(?<![\w.,/-])(-?{_WHOLE}) and (\d+)/(\d+)(?![\d/])")
_OTHER = re.compile(r"[A-Za-z]+|[^\sA-Za-z]")
_DASHES = str.maketrans({"\u2212": "-", "\u2013": "-", "\u00a0": " ", "\u202f": " "})
_REMAINDER = {"remainder": "r", "rem": "r"}
# What may surround the number of a quantity: "x = ", a currency sign, a unit of two letters or more, a spaced letter.
_QUANTITY = re.compile(r"(?:[A-Za-z]\s*=\s*)?[$£€]?\0(?:\s*[%°]|\s*°?\s*[A-Za-z]{2,}|\s+[A-Za-z])*[\s.]*", re.DOTALL)


def _value(match: "re.Match[str]") -> Fraction | None:
    """Exact value of one `_NUMBER` match; None for a zero denominator."""
    bare = {key: text.replace(",", "") for key, text in match.groupdict().items() if text}
    bottom = int(bare.get("bottom", bare.get("mixed_bottom", "1")))
    if bottom == 0:
        return None
    if "mixed" in bare:
        size = int(bare["mixed"]) + Fraction(int(bare["mixed_top"]), bottom)
    elif "top" in bare:
        size = Fraction(int(bare["top"]), bottom)
    else:
        size = Fraction(bare["plain"])
    return -size if bare.get("sign") == "-" else size


def numbers(text: str) -> list[Fraction]:
    """Exact values of the number tokens of `text`, in order of appearance."""
    values = (_value(match) for match in _NUMBER.finditer(text.translate(_DASHES)))
    return [value for value in values if value is not None]


def plain_numbers(text: str) -> list[tuple[int, int]]:
    """Where the whole numbers and decimals of `text` begin and end, without sign and currency; no fraction is one."""
    return [match.span("plain") for match in _NUMBER.finditer(text.translate(_DASHES)) if match["plain"]]


def _tokens(text: str) -> list[Fraction | str]:
    """`text` as numbers, lower case words and single symbols, in order; spaces are dropped."""
    found: list[Fraction | str] = []
    start = 0
    for match in _NUMBER.finditer(text):
        found += _words(text[start : match.start()])
        value = _value(match)
        found.append(match.group() if value is None else value)
        start = match.end()
    return found + _words(text[start:])


def _words(text: str) -> list[Fraction | str]:
    return [_REMAINDER.get(word.lower(), word.lower()) for word in _OTHER.findall(text)]


def mentions(text: str, value: str) -> bool:
    """Whether `text` contains the answer `value`.

    A quantity ("45", "-3/4", "45 cm", "$1,200", "25%", "x = 4") is found by its number alone, whatever the unit. Any
    other value ("3x + 12", "14 r 3", "2:45", "<", "isosceles") is found as the same run of numbers, words and symbols;
    "r", "rem" and "remainder" are the same word. An empty `value` is never mentioned.
    """
    text, value = text.translate(_DASHES), value.translate(_DASHES).strip()
    found = list(_NUMBER.finditer(value))
    if len(found) == 1 and _QUANTITY.fullmatch(value[: found[0].start()] + "\0" + value[found[0].end() :]):
        wanted = _value(found[0])
        return wanted is not None and (wanted in numbers(text) or wanted in _spoken_mixed(text))
    run, tokens = _tokens(value), _tokens(text)
    return bool(run) and any(tokens[i : i + len(run)] == run for i in range(len(tokens) - len(run) + 1))


def _spoken_mixed(text: str) -> list[Fraction]:
    """Values of mixed numbers that are written with "and": "2 and 3/4"."""
    values = []
    for whole, top, bottom in _AND_MIXED.findall(text):
        if int(bottom):
            size = abs(int(whole.replace(",", ""))) + Fraction(int(top), int(bottom))
            values.append(-size if whole.startswith("-") else size)
    return values
