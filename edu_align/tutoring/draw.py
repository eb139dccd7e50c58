"""Drawing of arithmetic problems: redrawing until a case is fair, filling question templates, writing numbers."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import TypeVar

from edu_align.tutoring.text import mentions, numbers
from edu_align.tutoring.types import Case

Draw = Callable[[Random], Case | None]
T = TypeVar("T")
MAX_DRAWS = 2000  # a draw function that fails this often is broken, not unlucky

NAMES = (
    *("Amira", "Ben", "Carla", "Daniel", "Efua", "Farid", "Grace", "Hiro", "Ines", "Jonas", "Kavya", "Leo", "Maya"),
    *("Nadia", "Omar", "Priya", "Quinn", "Rosa", "Samuel", "Tara", "Umut", "Vera", "Wei", "Yusuf", "Zoe"),
)
THINGS = (
    *("stickers", "marbles", "shells", "stamps", "beads", "postcards", "badges", "buttons", "trading cards", "pencils"),
    *("paper cups", "tiles", "seeds", "comics", "coins", "bottle caps", "game tokens", "magnets", "photos", "cubes"),
)
PLACES = ("library", "school fair", "garden centre", "museum", "toy shop", "bakery", "sports club", "youth club")


def redrawn(draw: Draw) -> Callable[[Random], Case]:
    """`make` for a misconception: calls `draw` until it returns a fair case (see `is_fair`)."""

    def make(rng: Random) -> Case:
        for _ in range(MAX_DRAWS):
            case = draw(rng)
            if case is not None and is_fair(case):
                return case
        raise RuntimeError(f"no fair case in {MAX_DRAWS} draws of {draw.__module__}.{draw.__name__}")

    return make


def is_fair(case: Case) -> bool:
    """The wrong answer differs in value, and nothing that is said to or written by the student holds the answer.

    "Nothing" is every probe, hint and action, the topic, both places, the cause, and the final claim (the last number)
    of every line of work.
    """
    said = (*case.probes, *case.hints, *case.actions, case.topic, case.place, case.cause, case.wrong_place)
    answer = numbers(case.answer)
    return (
        answer != numbers(case.wrong_answer)
        and not any(mentions(text, case.answer) for text in said)
        and not any(numbers(line)[-1:] == answer for line in case.work)
    )


def pick(rng: Random, options: Sequence[T]) -> T:
    return options[rng.randrange(len(options))]


def fill(rng: Random, templates: Sequence[str], **values: object) -> str:
    """One of `templates`, filled with `values` and with a drawn {name}, another {other}, {things} and {place}."""
    name, other = rng.sample(NAMES, 2)
    drawn: dict[str, object] = {"name": name, "other": other, "things": pick(rng, THINGS), "place": pick(rng, PLACES)}
    return pick(rng, templates).format(**{**drawn, **values})


def mixed(value: Fraction) -> str:
    """A value >= 0 as a mixed number in lowest terms: "2 3/4", "3", "1/2"."""
    whole, rest = divmod(value, 1)
    if not rest:
        return str(whole)
    return f"{whole} {rest}" if whole else str(rest)


def decimal(value: Decimal) -> str:
    """Plain notation without trailing zeros after the point: "0.5", "12"."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def digits(number: int, width: int = 0) -> list[int]:
    """Digits of a whole number >= 0, ones first, padded with zeros up to `width`."""
    found = [int(digit) for digit in reversed(str(number))]
    return found + [0] * (width - len(found))


def from_digits(values: Sequence[int]) -> int:
    """Inverse of `digits`: values of the columns, ones first."""
    return sum(value * 10**column for column, value in enumerate(values))


COLUMNS = ("ones", "tens", "hundreds", "thousands", "ten thousands")
