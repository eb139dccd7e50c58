"""What a misconception is, and one concrete case of it."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Case:
    """One problem, and what a student who holds the misconception makes of it.

    Everything is computed by the misconception's `make`; nothing is written down twice. Texts are plain ASCII-ish
    sentences without a trailing space; `probes`, `hints` and `actions` never contain the correct final answer.
    """

    question: str  # the whole problem as the student was given it
    answer: str  # the correct final answer, as displayed ("7/12", "-8", "45 cm")
    wrong_answer: str  # the student's final answer, as displayed; differs from `answer` in value
    work: tuple[str, ...]  # the student's written steps, in order; the last one shows `wrong_answer`
    wrong_step: int  # index into `work` of the first step that is wrong
    topic: str  # noun phrase for what the problem is about: "adding fractions"
    place: str  # noun phrase that locates the mistake in this work: "the tens column, 3 - 7"
    cause: str  # what the student did there, second person clause: "you took the smaller digit from the larger one"
    probes: tuple[str, ...]  # >= 3 guiding questions to the student (end with "?"), none gives the answer away
    hints: tuple[str, ...]  # >= 3 hints as statements, about the idea, none gives the answer away
    actions: tuple[str, ...]  # >= 3 concrete next steps as imperative clauses, lower case start, no full stop
    solution: tuple[str, ...]  # the correct working, the last line shows `answer`
    wrong_place: str  # noun phrase that locates a part of the work that is in fact right (for a reply that misses)


@dataclass(frozen=True)
class Misconception:
    """A documented systematic error. `make(rng)` draws a problem on which it really produces a wrong answer."""

    id: str  # snake_case, unique: "smaller_from_larger"
    area: str  # "whole numbers", "fractions", "decimals", "ratio and percent", "algebra", ...
    name: str  # short title
    source: str  # citation: author, year, title, and where in it
    make: Callable[[Random], Case]
