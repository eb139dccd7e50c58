"""Systematic errors with whole numbers: column addition here, joined with those of the other operations."""

from random import Random

from edu_align.tutoring.draw import digits, fill, from_digits, redrawn
from edu_align.tutoring.misconceptions.order_of_operations import ORDER
from edu_align.tutoring.misconceptions.whole_division import DIVISION
from edu_align.tutoring.misconceptions.whole_powers import POWERS_OF_WHOLE_NUMBERS
from edu_align.tutoring.misconceptions.whole_products import MULTIPLICATION
from edu_align.tutoring.misconceptions.whole_questions import SUMS
from edu_align.tutoring.misconceptions.whole_subtraction import SUBTRACTION
from edu_align.tutoring.types import Case, Misconception


def dropped_carry(a: int, b: int) -> int:
    """Only the ones digit of each column sum is written; the carry is forgotten. The leftmost sum is written whole."""
    width = max(len(str(a)), len(str(b)))
    sums = [x + y for x, y in zip(digits(a, width), digits(b, width), strict=True)]
    return from_digits([*(value % 10 for value in sums[:-1]), sums[-1]])


def column_sums_side_by_side(a: int, b: int) -> int:
    """Every column sum is written down whole, next to the others, as if each column were a number of its own."""
    width = max(len(str(a)), len(str(b)))
    sums = [x + y for x, y in zip(digits(a, width), digits(b, width), strict=True)]
    return int("".join(str(value) for value in reversed(sums)))


def _draw_sum(rng: Random) -> tuple[int, int] | None:
    """Two two-digit numbers whose ones make a carry and whose tens do not reach ten with it."""
    a, b = rng.randint(15, 79), rng.randint(15, 79)
    return None if a % 10 + b % 10 < 11 or a // 10 + b // 10 > 8 else (a, b)


def _draw_dropped_carry(rng: Random) -> Case | None:
    pair = _draw_sum(rng)
    if pair is None:
        return None
    (a, b), wrong = pair, dropped_carry(*pair)
    ones, tens = a % 10 + b % 10, a // 10 + b // 10
    return Case(
        question=fill(rng, SUMS, a=a, b=b),
        answer=str(a + b),
        wrong_answer=str(wrong),
        work=(
            f"Ones: {a % 10} + {b % 10} = {ones}, so I wrote {ones % 10} in the ones place.",
            f"Tens: {a // 10} + {b // 10} = {tens}, so I wrote {tens} in the tens place.",
            f"My answer is {wrong}",
        ),
        wrong_step=1,
        topic="adding two-digit numbers with a carry",
        place=f"the tens column, {a // 10} + {b // 10}",
        cause=f"you left out the ten that came from the {ones} ones",
        probes=(
            f"You found {ones} ones. How many tens and how many ones is that?",
            f"You wrote the {ones % 10} of {ones} in the ones place. Where did the rest of the {ones} go?",
            f"If you round {a} and {b} to the nearest ten and add, does {wrong} look close enough?",
        ),
        hints=(
            "Ten ones make one ten, and that ten belongs in the tens column.",
            "Every part of a column sum has to appear somewhere in the answer.",
            f"Splitting the {ones} ones into tens and ones shows what the next column still has to count.",
        ),
        actions=(
            f"write the small carry above the tens column and add it to {a // 10} + {b // 10}",
            f"build {a} and {b} with ten-rods and ones and swap every ten ones for a rod",
            f"add the tens of {a} and {b} and the ones of {a} and {b} on two separate lines, then combine the two sums",
        ),
        solution=(
            f"Ones: {a % 10} + {b % 10} = {ones}, write {ones % 10} and carry 1 ten.",
            f"Tens: {a // 10} + {b // 10} + 1 = {tens + 1}.",
            f"{a} + {b} = {a + b}",
        ),
        wrong_place=f"the ones column, {a % 10} + {b % 10} = {ones}",
    )


def _draw_side_by_side(rng: Random) -> Case | None:
    pair = _draw_sum(rng)
    if pair is None:
        return None
    (a, b), wrong = pair, column_sums_side_by_side(*pair)
    ones, tens = a % 10 + b % 10, a // 10 + b // 10
    return Case(
        question=fill(rng, SUMS, a=a, b=b),
        answer=str(a + b),
        wrong_answer=str(wrong),
        work=(
            f"Tens: {a // 10} + {b // 10} = {tens}.",
            f"Ones: {a % 10} + {b % 10} = {ones}.",
            f"I put the {tens} and the {ones} next to each other.",
            f"My answer is {wrong}",
        ),
        wrong_step=2,
        topic="adding two-digit numbers",
        place=f"the step where you put {tens} and {ones} next to each other",
        cause=f"you wrote all {ones} ones into the answer without trading ten of them for a ten",
        probes=(
            f"About how big can the sum of two numbers below one hundred be, and does {wrong} fit that?",
            f"What is the {tens} worth: {tens} ones, or {tens} of something else?",
            f"How many digits can stand in the ones place of a number, and how many do you have for your {ones}?",
        ),
        hints=(
            "Each place of a number holds only one digit, so ten or more ones have to be regrouped.",
            f"The {tens} counts tens, so it stands for {10 * tens}.",
            f"An estimate helps: {a} and {b} are both below one hundred, so the sum is below two hundred.",
        ),
        actions=(
            f"write {tens} tens as a number, write {ones} ones as a number, and add the two",
            f"trade ten of the {ones} ones for one ten before you write anything down",
            f"estimate {a} + {b} by rounding both numbers to the nearest ten",
        ),
        solution=(f"{tens} tens are {10 * tens}, and there are {ones} ones.", f"{10 * tens} + {ones} = {a + b}"),
        wrong_place=f"the sum of the ones, {a % 10} + {b % 10} = {ones}",
    )


ADDITION = (
    Misconception(
        id="dropped_carry",
        area="whole numbers",
        name="Forgets the carry",
        source="Ashlock, Error Patterns in Computation (Merrill/Pearson, several editions): addition of whole numbers",
        make=redrawn(_draw_dropped_carry),
    ),
    Misconception(
        id="column_sums_side_by_side",
        area="whole numbers",
        name="Writes the column sums side by side",
        source="Ashlock, Error Patterns in Computation (Merrill/Pearson, several editions): addition of whole numbers",
        make=redrawn(_draw_side_by_side),
    ),
)

MISCONCEPTIONS: tuple[Misconception, ...] = (
    *ADDITION,
    *SUBTRACTION,
    *MULTIPLICATION,
    *DIVISION,
    *ORDER,
    *POWERS_OF_WHOLE_NUMBERS,
)
