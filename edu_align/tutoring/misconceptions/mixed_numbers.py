"""Systematic errors with mixed numbers and with fractions of a quantity."""

from fractions import Fraction
from random import Random

from edu_align.tutoring.draw import fill, mixed, redrawn
from edu_align.tutoring.types import Case, Misconception

DIFFERENCES = (
    "Work out {x} - {y}.",
    "Subtract {y} from {x}.",
    "{name} has {x} metres of rope and cuts off {y} metres. How many metres are left?",
    "A bag holds {x} kg of flour. {name} uses {y} kg. How many kilograms are left?",
    "A film lasts {x} hours and {y} hours have passed. How many hours are still to go?",
)
PARTS = (
    "Work out {x} of {n}.",
    "What is {x} of {n}?",
    "{name} has {n} {things} and gives {x} of them to {other}. How many {things} does {other} get?",
    "There are {n} visitors in the {place}, and {x} of them are children. How many children are there?",
    "A tank holds {n} litres when full. It is filled to {x}. How many litres are in it?",
)


def mixed_smaller_from_larger(a: int, p: int, b: int, q: int, d: int) -> tuple[int, int]:
    """(a p/d) - (b q/d) worked part by part, the smaller numerator from the larger one: (a - b, |p - q|)."""
    return a - b, abs(p - q)


def mixed_borrows_ten(a: int, p: int, b: int, q: int, d: int) -> tuple[int, int]:
    """(a p/d) - (b q/d) with p < q: the whole that is borrowed is turned into ten parts: (a - 1 - b, p + 10 - q)."""
    return a - 1 - b, p + 10 - q


def one_part_only(n: int, a: int, b: int) -> int:
    """a/b of n worked as n / b: the numerator is not used."""
    return n // b


def _draw_mixed(rng: Random) -> tuple[int, int, int, int, int] | None:
    """Whole and numerator of both numbers and their denominator, such that a borrow is needed."""
    d, a, b = rng.choice((3, 4, 5, 6, 7, 8, 9)), rng.randint(4, 12), rng.randint(1, 8)
    p, q = rng.randint(1, d - 1), rng.randint(1, d - 1)
    proper = Fraction(p, d).denominator == d and Fraction(q, d).denominator == d
    return (a, p, b, q, d) if p < q and a - b >= 2 and proper else None


def _solution(a: int, p: int, b: int, q: int, d: int) -> tuple[str, ...]:
    raw, value = f"{a - 1 - b} {p + d - q}/{d}", mixed(Fraction(a * d + p, d) - Fraction(b * d + q, d))
    lines = (
        f"Trade one whole for {d}/{d}: {a} {p}/{d} is {a - 1} wholes and {p + d}/{d}.",
        f"{a - 1} wholes and {p + d}/{d} less {b} {q}/{d} is {raw}",
    )
    return lines if raw == value else (*lines, f"In lowest terms that is {value}")


def _draw_mixed_smaller(rng: Random) -> Case | None:
    numbers = _draw_mixed(rng)
    if numbers is None:
        return None
    a, p, b, q, d = numbers
    whole, top = mixed_smaller_from_larger(*numbers)
    x, y, wrong = f"{a} {p}/{d}", f"{b} {q}/{d}", f"{whole} {top}/{d}"
    return Case(
        question=fill(rng, DIFFERENCES, x=x, y=y),
        answer=mixed(Fraction(a * d + p, d) - Fraction(b * d + q, d)),
        wrong_answer=wrong,
        work=(
            f"Fractions: {q}/{d} - {p}/{d} = {top}/{d}.",
            f"Wholes: {a} - {b} = {whole}.",
            f"So the answer is {wrong}",
        ),
        wrong_step=0,
        topic="subtracting mixed numbers",
        place="the step with the two fraction parts",
        cause=f"you took {p}/{d} from {q}/{d}, although it should be the other way round",
        probes=(
            f"Which fraction part belongs to the number you start with, {p}/{d} or {q}/{d}?",
            f"Are there enough parts in {p}/{d} to take {q}/{d} away, and where could more come from?",
            f"What do you get when you add {wrong} to {y}, and what should you get?",
        ),
        hints=(
            "The order matters for the fraction parts just as it does for the wholes.",
            f"One whole can be traded for {d}/{d}.",
            f"Adding the result to {y} has to give {x} back.",
        ),
        actions=(
            f"trade one of the {a} wholes for {d}/{d} before you subtract the fractions",
            f"draw {x} as bars cut into {d} parts each and cross out {y}",
            f"count up from {y} to {x} on a number line",
        ),
        solution=_solution(*numbers),
        wrong_place=f"the bare calculation {a} - {b} = {whole}",
    )


def _draw_borrows_ten(rng: Random) -> Case | None:
    numbers = _draw_mixed(rng)
    if numbers is None:
        return None
    a, p, b, q, d = numbers
    whole, top = mixed_borrows_ten(*numbers)
    x, y, wrong = f"{a} {p}/{d}", f"{b} {q}/{d}", f"{whole} {top}/{d}"
    return Case(
        question=fill(rng, DIFFERENCES, x=x, y=y),
        answer=mixed(Fraction(a * d + p, d) - Fraction(b * d + q, d)),
        wrong_answer=wrong,
        work=(
            f"{p} is less than {q}, so I have to borrow one from the {a}.",
            f"That makes {a - 1} wholes, and the numerator becomes 10 + {p} = {10 + p}.",
            f"{10 + p}/{d} - {q}/{d} = {top}/{d} and {a - 1} - {b} = {whole}.",
            f"So the answer is {wrong}",
        ),
        wrong_step=1,
        topic="borrowing in a subtraction of mixed numbers",
        place=f"the step where the numerator became {10 + p}",
        cause="you turned the borrowed whole into ten parts, as in column subtraction",
        probes=(
            f"Into how many parts of size 1/{d} can one whole be cut?",
            f"Is {a - 1} {10 + p}/{d} still the same amount as {x}?",
            "Why is a borrow worth ten in column subtraction, and is that so here?",
        ),
        hints=(
            "What a borrowed whole is worth depends on the denominator.",
            f"In this problem the parts have the size 1/{d}.",
            "Ten for one belongs to the decimal places, where each place is ten times the next one.",
        ),
        actions=(
            f"write one whole as a fraction with the denominator {d} and add it to {p}/{d}",
            f"draw one whole bar cut into parts of size 1/{d} and count them",
            f"check whether {wrong} and {y} add up to {x}",
        ),
        solution=_solution(*numbers),
        wrong_place=f"the first step, where you saw that {p} is less than {q}",
    )


def _draw_one_part(rng: Random) -> Case | None:
    b, k = rng.randint(3, 10), rng.randint(2, 15)
    a, n = rng.randint(2, b - 1), b * k
    if Fraction(a, b).denominator != b:
        return None
    wrong = one_part_only(n, a, b)
    return Case(
        question=fill(rng, PARTS, x=f"{a}/{b}", n=n),
        answer=str(a * k),
        wrong_answer=str(wrong),
        work=(
            f"I need {a}/{b} of {n}.",
            f"To find a fraction of {n}, I divide by the denominator: {n} / {b} = {k}.",
            f"That is the fraction of {n}, so the answer is {wrong}",
        ),
        wrong_step=2,
        topic="finding a fraction of a quantity",
        place="the last step, where you stopped",
        cause=f"you gave the size of one part, and the numerator {a} was never used",
        probes=(
            f"What does the {a} in {a}/{b} tell you to do?",
            f"You split {n} into {b} equal parts. How many of these parts does the question ask for?",
            f"Is {wrong} the answer to 1/{b} of {n} or to {a}/{b} of {n}?",
        ),
        hints=(
            "The denominator says how many equal parts there are, and the numerator says how many of them are taken.",
            f"Your {wrong} is the size of a single part.",
            f"Both numbers in {a}/{b} have a job, and so far only one of them has done it.",
        ),
        actions=(
            f"draw a bar for {n}, cut it into {b} equal parts, write {wrong} in each and shade {a} of them",
            "say in words what the top and the bottom of the fraction stand for",
            f"go on from one part to {a} parts",
        ),
        solution=(f"One part is {n} / {b} = {k}.", f"{a} parts are {a} * {k} = {a * k}"),
        wrong_place=f"the division {n} / {b} = {k}",
    )


MIXED = (
    Misconception(
        "mixed_smaller_from_larger",
        "fractions",
        "Takes the smaller fraction part from the larger one",
        "Ashlock, Error Patterns in Computation (Merrill/Pearson, several editions): subtraction of mixed numbers",
        redrawn(_draw_mixed_smaller),
    ),
    Misconception(
        "mixed_borrows_ten",
        "fractions",
        "Borrows ten parts whatever the denominator is",
        "Ashlock, Error Patterns in Computation (Merrill/Pearson, several editions): subtraction of mixed numbers",
        redrawn(_draw_borrows_ten),
    ),
    Misconception(
        "one_part_only",
        "fractions",
        "Divides by the denominator and leaves the numerator out",
        "Compare Kieren (1976), On the mathematical, cognitive and instructional foundations of rational numbers "
        "(fractions as operators), and Hart (1981), Children's Understanding of Mathematics: 11-16",
        redrawn(_draw_one_part),
    ),
)
