"""Systematic errors with decimals: sums and differences here, joined with those of products, size and notation."""

from decimal import Decimal
from random import Random

from edu_align.tutoring.draw import decimal, fill, redrawn
from edu_align.tutoring.misconceptions.decimal_notation import NOTATION
from edu_align.tutoring.misconceptions.decimal_products import DECIMAL_PRODUCTS, places
from edu_align.tutoring.misconceptions.decimal_sizes import DECIMAL_SIZES
from edu_align.tutoring.types import Case, Misconception

SUMS = (
    "Work out {x} + {y}.",
    "Add {x} and {y} in columns.",
    "{name} has a rope of {x} m and {other} has one of {y} m. How many metres of rope do the two have together?",
    "A bag of {things} weighs {x} kg and a box weighs {y} kg. How many kilograms is that in all?",
    "{name} walked {x} km to the {place} and {y} km back on another way. How many kilometres was that?",
    "One jug holds {x} litres and another one {y} litres. How many litres do they hold together?",
)
DIFFERENCES = (
    "Work out {x} - {y}.",
    "Subtract {y} from {x} in columns.",
    "{name} has {x} m of ribbon and cuts off {y} m. How many metres are left?",
    "A full bottle weighs {x} kg, and the empty bottle weighs {y} kg. How many kilograms does the content weigh?",
    "{name} jumped {x} m and {other} jumped {y} m. How many metres further did {name} jump?",
)


def digits_right_aligned(x: Decimal, y: Decimal) -> Decimal:
    """The digits are added right-aligned, points ignored; the sum gets the larger number of decimal places."""
    total = int(x.scaleb(places(x))) + int(y.scaleb(places(y)))
    return Decimal(total).scaleb(-max(places(x), places(y)))


def sides_added_separately(x: Decimal, y: Decimal) -> str:
    """What stands before the point and what stands after it are added as two whole numbers: 3.7 + 2.6 = 5.13."""
    (a, p), (b, q) = str(x).split("."), str(y).split(".")
    return f"{int(a) + int(b)}.{int(p) + int(q)}"


def missing_digit_copied(x: Decimal, y: Decimal) -> Decimal:
    """x - y where y has one more decimal place: the last digit of y is brought down, the rest is subtracted."""
    last = int(y.scaleb(places(y))) % 10
    front = y - Decimal(last).scaleb(-places(y))
    return x - front + Decimal(last).scaleb(-places(y))


def _draw_right_aligned(rng: Random) -> Case | None:
    x = Decimal(rng.randint(11, 99)).scaleb(-1)
    y = Decimal(rng.randint(11, 99)).scaleb(-2)
    if 0 in (int(x * 10) % 10, int(y * 100) % 10):
        return None
    wrong, a, b = digits_right_aligned(x, y), int(x * 10), int(y * 100)
    return Case(
        question=fill(rng, SUMS, x=x, y=y),
        answer=decimal(x + y),
        wrong_answer=str(wrong),
        work=(
            f"I wrote {y} under {x} so that the last digits stand under each other.",
            f"Then I added {a} and {b}, which is {a + b}.",
            f"With two digits after the point that makes {wrong}",
        ),
        wrong_step=0,
        topic="adding decimals with different numbers of places",
        place=f"the way you wrote {y} under {x}",
        cause="you lined up the last digits, although they stand for different places",
        probes=(
            f"What is the last digit of {x} worth, and what is the last digit of {y} worth?",
            f"Your sum is {wrong}. Is it larger than {x}, as a sum should be?",
            f"How could you write {x} with two digits after the point without changing its value?",
        ),
        hints=(
            "Only digits of the same place value can be added to each other.",
            "The decimal points have to stand exactly under each other.",
            f"A zero at the end of {x} would not change its value.",
        ),
        actions=(
            f"write {x} and {y} into a table with columns for ones, tenths and hundredths",
            "line up the decimal points and fill the empty place with a zero",
            f"estimate the sum by rounding {x} and {y} to whole numbers",
        ),
        solution=(f"Write {x} with two places as {x}0 and line up the points.", f"{x}0 + {y} = {x + y}"),
        wrong_place=f"the bare calculation {a} + {b} = {a + b}",
    )


def _draw_sides(rng: Random) -> Case | None:
    x, y = Decimal(rng.randint(11, 98)).scaleb(-1), Decimal(rng.randint(11, 98)).scaleb(-1)
    a, p, b, q = int(x), int(x * 10) % 10, int(y), int(y * 10) % 10
    if p + q < 11:
        return None
    wrong = sides_added_separately(x, y)
    return Case(
        question=fill(rng, SUMS, x=x, y=y),
        answer=decimal(x + y),
        wrong_answer=wrong,
        work=(
            f"Before the point: {a} + {b} = {a + b}.",
            f"After the point: {p} + {q} = {p + q}, so I wrote {p + q} after the point.",
            f"My answer is {wrong}",
        ),
        wrong_step=1,
        topic="adding decimals",
        place="the part after the decimal point",
        cause=f"you wrote all of {p + q} after the point, although it counts tenths",
        probes=(
            f"What do the {p} and the {q} after the points stand for?",
            "How many tenths make one whole, and how many tenths do you have?",
            f"In {wrong}, what is each digit after the point worth?",
        ),
        hints=(
            "Ten tenths make one whole, so they belong on the other side of the point.",
            "The point does not separate two numbers; the places on both sides belong to one number.",
            f"Here {p} tenths and {q} tenths have to be regrouped.",
        ),
        actions=(
            f"write {p + q} tenths as wholes and tenths",
            f"shade {x} and {y} in squares cut into ten strips and count the full squares",
            f"mark {x} on a number line and go {y} further",
        ),
        solution=(
            f"{p} tenths + {q} tenths = {p + q} tenths, which is 1 whole and {p + q - 10} tenths.",
            f"Wholes: {a} + {b} + 1 = {a + b + 1}.",
            f"{x} + {y} = {decimal(x + y)}",
        ),
        wrong_place=f"the part before the point, {a} + {b} = {a + b}",
    )


def _draw_copied(rng: Random) -> Case | None:
    x, y = Decimal(rng.randint(31, 98)).scaleb(-1), Decimal(rng.randint(111, 789)).scaleb(-2)
    last = int(y * 100) % 10
    if last in (0, 5) or x - y < 1 or int(x * 10) % 10 <= int(y * 10) % 10 or int(y * 10) % 10 == 0:
        return None
    wrong, t, u = missing_digit_copied(x, y), int(x * 10) % 10, int(y * 10) % 10
    return Case(
        question=fill(rng, DIFFERENCES, x=x, y=y),
        answer=decimal(x - y),
        wrong_answer=decimal(wrong),
        work=(
            f"I wrote {y} under {x} with the points under each other.",
            f"Hundredths: there is nothing above the {last}, so I brought the {last} down.",
            f"Tenths: {t} - {u} = {t - u}. Ones: {int(x)} - {int(y)} = {int(x) - int(y)}.",
            f"My answer is {decimal(wrong)}",
        ),
        wrong_step=1,
        topic="subtracting a decimal with more places",
        place=f"the hundredths column, with nothing above the {last}",
        cause=f"you copied the {last} down, as if it were there to be kept and not to be taken away",
        probes=(
            f"How many hundredths does {x} have if you write it with two places?",
            f"Is the {last} in the hundredths column something you have or something you take away?",
            f"What do you get when you add {decimal(wrong)} and {y}, and what should you get?",
        ),
        hints=(
            "An empty place in a decimal can be filled with a zero.",
            "A lower digit is always taken away, also when nothing is written above it.",
            "One tenth can be traded for ten hundredths.",
        ),
        actions=(
            f"write a zero at the end of {x} and redo the hundredths column",
            f"trade one of the {t} tenths for ten hundredths before you subtract",
            f"add {decimal(wrong)} and {y} as a check",
        ),
        solution=(f"Write {x} as {x}0.", f"{x}0 - {y} = {x - y}"),
        wrong_place="the way you lined up the decimal points",
    )


WEARNE = "Hiebert & Wearne (1985), A model of students' decimal computation procedures, Cognition and Instruction 2"
CALCULATIONS = (
    ("digits_right_aligned", "Lines up the last digits instead of the points", WEARNE, _draw_right_aligned),
    ("sides_added_separately", "Adds both sides of the point as whole numbers", WEARNE, _draw_sides),
    ("missing_digit_copied", "Copies a digit down when nothing stands above it", WEARNE, _draw_copied),
)
MISCONCEPTIONS: tuple[Misconception, ...] = (
    *(Misconception(id, "decimals", name, source, redrawn(draw)) for id, name, source, draw in CALCULATIONS),
    *DECIMAL_PRODUCTS,
    *DECIMAL_SIZES,
    *NOTATION,
)
