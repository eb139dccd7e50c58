"""Systematic errors in the multiplication of decimals."""

from decimal import Decimal
from random import Random

from edu_align.tutoring.draw import decimal, fill, redrawn
from edu_align.tutoring.types import Case, Misconception

PRODUCTS = (
    "Work out {x} * {y}.",
    "What is the product of {x} and {y}?",
    "A patch of grass is {x} m wide and {y} m long. What is its area in square metres?",
    "A snail moves {x} m in an hour. How many metres does it move in {y} hours?",
    "One kilogram of beads costs {x} dollars. How many dollars do {y} kg cost?",
)
TIMES_TEN = (
    "Work out {x} * 10.",
    "Multiply {x} by 10.",
    "One stick is {x} m long. How many metres long are 10 such sticks laid end to end?",
    "{name} drinks {x} litres of water a day. How many litres is that in 10 days?",
    "A ticket for the {place} costs {x} dollars. How many dollars do 10 tickets cost?",
)


def places(value: Decimal) -> int:
    """Number of digits after the point, as the value is written."""
    return -int(value.as_tuple().exponent)


def product_keeps_places(x: Decimal, y: Decimal) -> Decimal:
    """x * y for equal numbers of places: the point is put where it stands in the factors, as in a sum."""
    return (x * y).scaleb(places(y))


def times_ten_appends_zero(x: Decimal) -> str:
    """A zero is written behind the last digit, as for a whole number: 3.7 * 10 = 3.70."""
    return f"{x}0"


def _draw_keeps_places(rng: Random) -> Case | None:
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    x, y = Decimal(a).scaleb(-1), Decimal(b).scaleb(-1)
    wrong = decimal(product_keeps_places(x, y))
    return Case(
        question=fill(rng, PRODUCTS, x=x, y=y),
        answer=decimal(x * y),
        wrong_answer=wrong,
        work=(
            f"Without the points: {a} * {b} = {a * b}.",
            "Both numbers have one digit after the point, so the answer has one digit after the point.",
            f"So {x} * {y} = {wrong}",
        ),
        wrong_step=1,
        topic="multiplying decimals",
        place="the step where you placed the decimal point",
        cause="you kept one place after the point, as you would in a sum",
        probes=(
            f"Should {x} of {y} be larger or smaller than {y}?",
            "What is a tenth of a tenth?",
            f"How would you write {x} and {y} as fractions, and what is the denominator of their product?",
        ),
        hints=(
            "Tenths times tenths are not tenths any more.",
            f"Multiplying by {x}, which is less than 1, makes {y} smaller.",
            "Lining up the points as in a sum does not work for a product.",
        ),
        actions=(
            f"write {x} as {a}/10 and {y} as {b}/10 and multiply the fractions",
            f"draw a square of 10 by 10 small cells and shade a rectangle of {a} by {b} cells",
            f"compare your result {wrong} with {y} and decide whether it can be so large",
        ),
        solution=(f"{a}/10 * {b}/10 = {a * b}/100.", f"{x} * {y} = {decimal(x * y)}"),
        wrong_place=f"the product of the digits, {a} * {b} = {a * b}",
    )


def _draw_times_ten(rng: Random) -> Case | None:
    x = Decimal(rng.randint(112, 989)).scaleb(-rng.choice((1, 2)))
    if int(str(x)[-1]) == 0:
        return None
    wrong = times_ten_appends_zero(x)
    whole, part = str(x).split(".")
    return Case(
        question=fill(rng, TIMES_TEN, x=x),
        answer=decimal(x * 10),
        wrong_answer=wrong,
        work=("To multiply by 10, I write a zero at the end.", f"So {x} turns into {wrong}"),
        wrong_step=0,
        topic="multiplying a decimal by ten",
        place="the step with the zero at the end",
        cause="you used a rule for whole numbers, although this number has places after the point",
        probes=(
            f"Is {wrong} larger than {x}, smaller, or the same?",
            f"What is the last {part[-1]} of {x} worth, and what is it worth after you multiply by 10?",
            "Why does a zero at the end make a whole number ten times as large?",
        ),
        hints=(
            "Multiplying by ten makes every digit worth ten times as much.",
            "A zero at the end of a decimal leaves its value as it is.",
            f"Ten times the {whole} in front of the point is already {whole}0.",
        ),
        actions=(
            f"write {x} into a place value table and move every digit one column to the left",
            f"multiply the {whole} and the part 0.{part} by 10 one after the other",
            f"estimate by multiplying the whole number closest to {x} by 10",
        ),
        solution=("Every digit moves one place to the left.", f"{x} * 10 = {decimal(x * 10)}"),
        wrong_place="the way you copied the digits of the number",
    )


BROWN = "Brown (1981), Place value and decimals, in Hart (ed.), Children's Understanding of Mathematics: 11-16"
WEARNE = "Hiebert & Wearne (1985), A model of students' decimal computation procedures, Cognition and Instruction 2"
ENTRIES = (
    ("product_keeps_places", "Places the point in a product as in a sum", WEARNE, _draw_keeps_places),
    ("times_ten_appends_zero", "Appends a zero to multiply a decimal by ten", BROWN, _draw_times_ten),
)
DECIMAL_PRODUCTS = tuple(
    Misconception(id, "decimals", name, source, redrawn(draw)) for id, name, source, draw in ENTRIES
)
