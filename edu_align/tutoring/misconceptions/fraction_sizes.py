"""Systematic errors in the comparison and the reduction of fractions."""

from fractions import Fraction
from math import gcd
from random import Random

from edu_align.tutoring.draw import fill, pick, redrawn
from edu_align.tutoring.types import Case, Misconception

LARGER = (
    "Which fraction is larger, {x} or {y}?",
    "Which of {x} and {y} lies further to the right on a number line?",
    "{name} ate {x} of a pizza and {other} ate {y} of a pizza of the same size. Which fraction is the larger share?",
    "One path is {x} of a mile long and another {y} of a mile. Which fraction belongs to the longer path?",
    "Two equal jugs are filled to {x} and {y}. Which fraction belongs to the fuller jug?",
)
REDUCE = (
    "Write {x} in lowest terms.",
    "Simplify the fraction {x} as far as possible.",
    "{name} got {x} of a test right. Write this fraction in lowest terms.",
    "{top} of {bottom} seats are taken. What fraction is that, in lowest terms?",
)


def larger_denominator_is_larger(a: int, b: int, d: int) -> tuple[int, int]:
    """Of a/b and a/d, the one with the larger denominator is called the larger one."""
    return a, max(b, d)


def smaller_gap_is_larger(x: tuple[int, int], y: tuple[int, int]) -> tuple[int, int]:
    """The fraction whose numerator is fewer parts short of its denominator is called the larger one."""
    return min(x, y, key=lambda part: part[1] - part[0])


def cancel_equal_digits(top: int, bottom: int) -> tuple[int, int]:
    """A digit that stands in both two-digit numbers is crossed out in both (first match from the left)."""
    upper, lower = list(str(top)), list(str(bottom))
    shared = next(digit for digit in upper if digit in lower)
    upper.remove(shared)
    lower.remove(shared)
    return int("".join(upper)), int("".join(lower))


def _draw_larger_denominator(rng: Random) -> Case | None:
    b, d = rng.sample(range(3, 13), 2)
    a = rng.choice((1, 1, 1, 2))
    if gcd(a, b) > 1 or gcd(a, d) > 1:
        return None
    low, high = min(b, d), max(b, d)
    wrong = "/".join(map(str, larger_denominator_is_larger(a, b, d)))
    return Case(
        question=fill(rng, LARGER, x=f"{a}/{b}", y=f"{a}/{d}"),
        answer=f"{a}/{low}",
        wrong_answer=wrong,
        work=(
            f"Both fractions have the numerator {a}.",
            f"The denominators are {b} and {d}, and {high} is larger than {low}.",
            f"So the larger fraction is {wrong}",
        ),
        wrong_step=2,
        topic="comparing fractions with equal numerators",
        place="the last step, where you went from the denominators to the fractions",
        cause="you took the larger denominator as a sign of the larger fraction",
        probes=(
            f"If a pizza is cut into {high} equal slices instead of {low}, how does the size of a slice change?",
            f"What does the {high} in {wrong} count?",
            "Would you rather share a cake with few people or with many, and why?",
        ),
        hints=(
            "The more equal parts a whole is cut into, the smaller each part is.",
            "With equal numerators, both fractions have the same number of parts, so only the size of a part matters.",
            "A denominator does not count how much you have; it says how finely the whole is cut.",
        ),
        actions=(
            f"draw two bars of equal length and cut one into {low} and the other into {high} equal parts",
            f"fold one strip of paper into {low} parts and an equal strip into {high} parts and compare a part of each",
            "compare 1/2 and 1/10 with your rule and check it with a drawing",
        ),
        solution=(
            f"Parts from {low} equal pieces are larger than parts from {high} equal pieces.",
            f"The larger fraction is {a}/{low}",
        ),
        wrong_place=pick(rng, (f"the comparison of {low} and {high}", "the step about the numerators")),
    )


def _draw_gap(rng: Random) -> Case | None:
    b, d = rng.sample(range(3, 13), 2)
    a, c = rng.randint(1, b - 1), rng.randint(1, d - 1)
    x, y = Fraction(a, b), Fraction(c, d)
    if x.denominator != b or y.denominator != d or x == y or b - a == d - c:
        return None
    wrong, right = Fraction(*smaller_gap_is_larger((a, b), (c, d))), max(x, y)
    gap, other = wrong.denominator - wrong.numerator, right.denominator - right.numerator
    return Case(
        question=fill(rng, LARGER, x=x, y=y),
        answer=str(right),
        wrong_answer=str(wrong),
        work=(
            f"From {a} to {b} it is {b - a}, and from {c} to {d} it is {d - c}.",
            f"{gap} is less than {other}, so that fraction is closer to a whole.",
            f"So the larger fraction is {wrong}",
        ),
        wrong_step=1,
        topic="comparing fractions",
        place="the step where you compared what is missing to a whole",
        cause="you counted the missing parts without looking at how large they are",
        probes=(
            f"Is each of the missing parts of {wrong} as large as a missing part of the other fraction?",
            "Is 1/2 as close to a whole as 9/10, although one part is missing in both?",
            "How could you write both fractions with parts of the same size?",
        ),
        hints=(
            "A gap of one part can be large or small; it depends on the denominator.",
            f"In {wrong} each missing part is 1/{wrong.denominator} of the whole.",
            "Fractions can be compared safely when both have the same denominator.",
        ),
        actions=(
            f"write both fractions with the denominator {b * d}",
            "draw both fractions as bars of equal length and compare the empty pieces",
            "compare each fraction with 1/2 first",
        ),
        solution=(
            f"With the denominator {b * d}: {a}/{b} = {a * d}/{b * d} and {c}/{d} = {c * b}/{b * d}.",
            f"{max(a * d, b * c)} is larger than {min(a * d, b * c)}, so the larger fraction is {right}",
        ),
        wrong_place=f"the difference {b} - {a} = {b - a}",
    )


def _draw_cancel(rng: Random) -> Case | None:
    top, bottom = rng.randint(12, 88), rng.randint(13, 98)
    shared = set(str(top)) & set(str(bottom))
    if top >= bottom or len(shared) != 1 or "0" in f"{top}{bottom}" or top % 11 == 0 or bottom % 11 == 0:
        return None
    k, (p, q) = gcd(top, bottom), cancel_equal_digits(top, bottom)
    if k == 1 or p >= q:
        return None
    value, digit, wrong = Fraction(top, bottom), shared.pop(), f"{p}/{q}"
    return Case(
        question=fill(rng, REDUCE, x=f"{top}/{bottom}", top=top, bottom=bottom),
        answer=str(value),
        wrong_answer=wrong,
        work=(
            f"Both {top} and {bottom} contain the digit {digit}.",
            f"So I crossed out the {digit} in both numbers.",
            f"That leaves {wrong}",
        ),
        wrong_step=1,
        topic="simplifying fractions",
        place=f"the step where you crossed out the {digit}",
        cause=f"you removed a digit, although the {digit} is not a factor that you divided by",
        probes=(
            f"What number would you have to divide {top} by to get {p}, and does it also turn {bottom} into {q}?",
            f"What is the digit {digit} worth in {top}, and what is it worth in {bottom}?",
            f"Which numbers divide both {top} and {bottom} without a remainder?",
        ),
        hints=(
            "Simplifying means dividing the top and the bottom by the same number.",
            "Digits are not factors: crossing out a digit changes a number by an amount that depends on its place.",
            f"Both {top} and {bottom} are multiples of {k}.",
        ),
        actions=(
            f"list the factors of {top} and of {bottom} and mark those they share",
            f"divide both numbers by {k}",
            "use your rule on 12/24 and compare the result with a drawing",
        ),
        solution=(
            f"Divide both numbers by {k}: {top} / {k} = {value.numerator} and {bottom} / {k} = {value.denominator}.",
            f"{top}/{bottom} = {value}",
        ),
        wrong_place=f"the first line, where you saw the {digit} in both numbers",
    )


SIZES = (
    Misconception(
        "larger_denominator_is_larger",
        "fractions",
        "Takes the larger denominator for the larger fraction",
        "Behr, Wachsmuth, Post & Lesh (1984), Order and equivalence of rational numbers: a clinical teaching "
        "experiment, Journal for Research in Mathematics Education 15",
        redrawn(_draw_larger_denominator),
    ),
    Misconception(
        "smaller_gap_is_larger",
        "fractions",
        "Compares only how many parts are missing (gap thinking)",
        "Clarke & Roche (2009), Students' fraction comparison strategies as a window into robust understanding, "
        "Educational Studies in Mathematics 72",
        redrawn(_draw_gap),
    ),
    Misconception(
        "cancel_equal_digits",
        "fractions",
        "Cancels equal digits",
        "Ashlock, Error Patterns in Computation (Merrill/Pearson, several editions): simplifying fractions",
        redrawn(_draw_cancel),
    ),
)
