"""Systematic errors in the change between decimals and fractions."""

from decimal import Decimal
from fractions import Fraction
from random import Random

from edu_align.tutoring.draw import decimal, fill, redrawn
from edu_align.tutoring.types import Case, Misconception

TO_DECIMAL = (
    "Write {x} as a decimal.",
    "Which decimal number is equal to {x}?",
    "{name} ran {x} of a mile. Write the distance in miles as a decimal.",
    "A bottle holds {x} of a litre. Write this amount in litres as a decimal.",
)
TO_FRACTION = (
    "Write {x} as a fraction in lowest terms.",
    "Which fraction in lowest terms is equal to {x}?",
    "{name} has read {x} of a book. Write this as a fraction in lowest terms.",
    "A tank is filled to {x} of its volume. Write this as a fraction in lowest terms.",
)


def bar_becomes_point(value: Fraction) -> str:
    """a/b is written as a.b: 1/4 = 1.4."""
    return f"{value.numerator}.{value.denominator}"


def digit_becomes_denominator(x: Decimal) -> Fraction:
    """0.n is written as 1/n: 0.4 = 1/4."""
    return Fraction(1, int(x * 10))


def _draw_bar(rng: Random) -> Case | None:
    value = Fraction(rng.randint(1, 9), rng.choice((2, 4, 5, 8)))
    if value >= 1 or value.denominator == 1:
        return None
    a, b, wrong = value.numerator, value.denominator, bar_becomes_point(value)
    answer = decimal(Decimal(a) / Decimal(b))
    return Case(
        question=fill(rng, TO_DECIMAL, x=value),
        answer=answer,
        wrong_answer=wrong,
        work=(
            f"The top number is {a} and the bottom number is {b}.",
            "I put a point between them in place of the bar.",
            f"So the decimal is {wrong}",
        ),
        wrong_step=1,
        topic="writing a fraction as a decimal",
        place="the step where you put a point in place of the bar",
        cause="you treated the bar of a fraction and the decimal point as the same sign",
        probes=(
            "Is this fraction more or less than one whole, and is your decimal more or less than one whole?",
            f"What does the bar between {a} and {b} tell you to do?",
            f"What is the {b} in {wrong} worth, and what does the {b} in the fraction count?",
        ),
        hints=(
            "A decimal has denominators that are hidden: tenths, hundredths, thousandths.",
            "The bar of a fraction is a division.",
            "A fraction with a smaller top than bottom is less than 1.",
        ),
        actions=(
            f"divide {a}.000 by {b} in long division",
            "decide first between which two whole numbers the result has to lie",
            "look for an equal fraction with the denominator 10, 100 or 1000",
        ),
        solution=(f"The fraction means {a} divided by {b}.", f"{a} / {b} = {answer}"),
        wrong_place=f"the first line, with {a} on top and {b} at the bottom",
    )


def _draw_reciprocal(rng: Random) -> Case | None:
    n = rng.choice((2, 3, 4, 6, 7, 8, 9))  # not 5: its answer, one half, is a landmark that the texts name
    x = Decimal(n).scaleb(-1)
    wrong = str(digit_becomes_denominator(x))
    value, shared = Fraction(n, 10), 10 // Fraction(n, 10).denominator
    reduce = f" Divide both by {shared}." if shared > 1 else ""
    return Case(
        question=fill(rng, TO_FRACTION, x=x),
        answer=str(value),
        wrong_answer=wrong,
        work=(
            f"The digit after the point is {n}.",
            f"The digit after the point is the bottom number, so the denominator is {n}.",
            f"So the fraction is {wrong}",
        ),
        wrong_step=1,
        topic="writing a decimal as a fraction",
        place=f"the step where {n} became the denominator",
        cause=f"you took {n} as the number of parts in a whole, although it counts tenths",
        probes=(
            "What is the first place after the point called?",
            f"If a bar is cut into ten equal parts, how many of them does the digit {n} stand for?",
            "Would your rule make a decimal with a larger digit larger or smaller, and is that so?",
        ),
        hints=(
            "The place of a digit after the point decides the denominator, not the digit itself.",
            "A larger first digit after the point means a larger number, but a larger denominator means smaller parts.",
            "The first place after the point counts tenths.",
        ),
        actions=(
            "draw a bar of ten equal parts and shade as many as the digit says",
            "read the decimal aloud with the word tenths",
            f"compare {wrong} with one half, and compare the decimal with one half as well",
        ),
        solution=(f"The digit {n} counts tenths: the top is {n} and the bottom is 10.{reduce}", f"{x} = {value}"),
        wrong_place=f"the first line, about the digit {n}",
    )


STACEY = "Steinle & Stacey (2004), A longitudinal study of students' understanding of decimal notation, PME 28"
WEARNE = "Hiebert & Wearne (1986), Procedures over concepts: the acquisition of decimal number knowledge"
ENTRIES = (
    ("bar_becomes_point", "Writes the bar of a fraction as a decimal point", WEARNE, _draw_bar),
    ("digit_becomes_denominator", "Reads the decimal digit as a denominator", STACEY, _draw_reciprocal),
)
NOTATION = tuple(Misconception(id, "decimals", name, source, redrawn(draw)) for id, name, source, draw in ENTRIES)
