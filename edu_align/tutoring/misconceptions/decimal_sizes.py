"""Systematic errors in the comparison of decimals."""

from decimal import Decimal
from random import Random

from edu_align.tutoring.draw import fill, redrawn
from edu_align.tutoring.types import Case, Misconception

LARGER = (
    "Which number is larger, {x} or {y}?",
    "Which of {x} and {y} lies further to the right on a number line?",
    "{name} jumped {x} m and {other} jumped {y} m. What is the length of the longer jump in metres?",
    "One parcel weighs {x} kg and another one {y} kg. What is the weight of the heavier parcel in kilograms?",
    "Two snails crawled {x} m and {y} m. How many metres did the faster one crawl?",
)


def longer_is_larger(x: Decimal, y: Decimal) -> Decimal:
    """The digits after the point are compared as whole numbers: 0.45 is called larger than 0.6."""
    return max(x, y, key=lambda value: int(str(value).split(".")[1]))


def shorter_is_larger(x: Decimal, y: Decimal) -> Decimal:
    """Fewer digits after the point are taken to mean larger parts: 0.4 is called larger than 0.75."""
    return min(x, y, key=lambda value: len(str(value)))


PROBES = (
    "Which place after the point should be compared first, and why?",
    "How would you write both numbers with two digits after the point?",
    "If both numbers were amounts of money in dollars, which one would you rather have?",
)
HINTS = (
    "The first place after the point counts tenths, and each tenth is worth ten hundredths.",
    "Decimals are compared place by place from the left, not by their length.",
    "A zero at the end of a decimal does not change its value.",
)
ACTIONS = (
    "write both numbers with two digits after the point and compare them again",
    "shade both numbers in squares of one hundred cells",
    "compare the tenths first and look at the hundredths only if the tenths are equal",
)


def _draw_numbers(rng: Random) -> tuple[Decimal, Decimal, str]:
    """A decimal with two places, one with one place, and a question that names them in either order."""
    x = Decimal(10 * rng.randint(1, 9) + rng.randint(1, 9)).scaleb(-2)
    y = Decimal(rng.randint(2, 9)).scaleb(-1)
    first, second = rng.sample((x, y), 2)
    return x, y, fill(rng, LARGER, x=first, y=second)


def _solution(x: Decimal, y: Decimal) -> tuple[str, ...]:
    hundredths = f"As hundredths, {x} is {int(x * 100)}/100 and {y} is {int(y * 100)}/100."
    return hundredths, f"The larger number is {max(x, y)}"


def _draw_longer(rng: Random) -> Case | None:
    x, y, question = _draw_numbers(rng)
    p, r, wrong = int(x * 100), int(y * 10), longer_is_larger(x, y)
    return Case(
        question=question,
        answer=str(max(x, y)),
        wrong_answer=str(wrong),
        work=(
            f"I looked at the digits after the point: {p} and {r}.",
            f"{p} is a larger number than {r}, so {y} is smaller than {x}.",
            f"My answer is {wrong}",
        ),
        wrong_step=1,
        topic="comparing decimals",
        place=f"the step where you compared {p} with {r}",
        cause="you read the digits after the point as whole numbers and did not look at their places",
        probes=PROBES,
        hints=HINTS,
        actions=ACTIONS,
        solution=_solution(x, y),
        wrong_place=f"the list of the digits after the point, {p} and {r}",
    )


def _draw_shorter(rng: Random) -> Case | None:
    x, y, question = _draw_numbers(rng)
    wrong = shorter_is_larger(x, y)
    return Case(
        question=question,
        answer=str(max(x, y)),
        wrong_answer=str(wrong),
        work=(
            f"{x} has hundredths and {y} has tenths, and tenths are larger than hundredths.",
            f"So the number with tenths only, {y}, is larger than the one with hundredths.",
            f"My answer is {wrong}",
        ),
        wrong_step=1,
        topic="comparing decimals",
        place="the step where you went from the size of the parts to the size of the numbers",
        cause="you looked only at how large the parts are and not at how many of them there are",
        probes=PROBES,
        hints=HINTS,
        actions=ACTIONS,
        solution=_solution(x, y),
        wrong_place="the statement that tenths are larger than hundredths",
    )


RESNICK = "Resnick et al. (1989), Conceptual bases of arithmetic errors: the case of decimal fractions, JRME 20"
ENTRIES = (
    ("longer_is_larger", "Takes the longer decimal for the larger one", RESNICK, _draw_longer),
    ("shorter_is_larger", "Takes the shorter decimal for the larger one", RESNICK, _draw_shorter),
)
DECIMAL_SIZES = tuple(Misconception(id, "decimals", name, source, redrawn(draw)) for id, name, source, draw in ENTRIES)
