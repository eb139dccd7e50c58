"""Systematic errors in the order of operations."""

from random import Random

from edu_align.tutoring.draw import fill, redrawn
from edu_align.tutoring.types import Case, Misconception

BARE = (
    "Work out {e}.",
    "What is the value of {e}?",
    "Calculate {e} without a calculator.",
    "{name} and {other} disagree about {e}. What is the right value?",
)
PLUS_TIMES = (
    *BARE,
    "{name} has {a} {things} and buys {b} packs of {c} more, which is {e} {things}. How many {things} is that?",
    "Entry to a fun fair costs {a} dollars and each of {b} rides {c} dollars, so the price is {e}. How much is it?",
)
TIMES_BRACKET = (
    *BARE,
    "Each of {a} bags holds {b} red and {c} blue {things}, so there are {e} {things}. How many is that?",
    "{name} works {a} days, {b} hours each morning and {c} hours each afternoon. Work out the hours, {e}.",
)
MINUS_PLUS = (
    *BARE,
    "A bus has {a} passengers. At a stop {b} get off and {c} get on, so there are {e}. How many is that?",
    "{name} had {a} {things}, gave {b} away and then got {c} new ones: {e}. How many does {name} have now?",
)


def left_to_right(a: int, b: int, c: int) -> int:
    """a + b * c worked strictly from left to right: (a + b) * c."""
    return (a + b) * c


def brackets_ignored(a: int, b: int, c: int) -> int:
    """a * (b + c) worked as if the brackets were not there: a * b + c."""
    return a * b + c


def addition_before_subtraction(a: int, b: int, c: int) -> int:
    """a - b + c with the addition first because it comes first in a mnemonic: a - (b + c)."""
    return a - (b + c)


def _draw_left_to_right(rng: Random) -> Case | None:
    a, b, c = rng.randint(2, 20), rng.randint(2, 9), rng.randint(3, 9)
    e, wrong = f"{a} + {b} * {c}", left_to_right(a, b, c)
    return Case(
        question=fill(rng, PLUS_TIMES, a=a, b=b, c=c, e=e),
        answer=str(a + b * c),
        wrong_answer=str(wrong),
        work=(f"First I did {a} + {b} = {a + b}.", f"Then I did {a + b} * {c} = {wrong}.", f"My answer is {wrong}"),
        wrong_step=0,
        topic="the order of operations",
        place=f"the first step, {a} + {b}",
        cause="you added before you multiplied, because the plus sign came first in the line",
        probes=(
            f"Which of the two operations in {e} has to be done first, and how do you know?",
            f"What does the {c} multiply: only the {b}, or the sum of {a} and {b}?",
            f"How would you write a problem in which {a} and {b} really are added first?",
        ),
        hints=(
            "Multiplication is done before addition, wherever it stands in the line.",
            f"In {e} the product is one block, and the {a} is added to that block.",
            f"You can read it as a story: {a} things, and then {b} groups of {c} things more.",
        ),
        actions=(
            f"put brackets around the part {b} * {c} and work that out first",
            f"draw {a} dots and next to them {b} rows of {c} dots",
            "underline the operation that comes first before you calculate anything",
        ),
        solution=(f"Multiply first: {b} * {c} = {b * c}.", f"Then add: {a} + {b * c} = {a + b * c}"),
        wrong_place=f"the multiplication {a + b} * {c} = {wrong}",
    )


def _draw_brackets_ignored(rng: Random) -> Case | None:
    a, b, c = rng.randint(2, 9), rng.randint(2, 12), rng.randint(2, 12)
    e, wrong = f"{a} * ({b} + {c})", brackets_ignored(a, b, c)
    return Case(
        question=fill(rng, TIMES_BRACKET, a=a, b=b, c=c, e=e),
        answer=str(a * (b + c)),
        wrong_answer=str(wrong),
        work=(
            f"First I did {a} * {b} = {a * b}.",
            f"Then I added the {c}: {a * b} + {c} = {wrong}.",
            f"My answer is {wrong}",
        ),
        wrong_step=1,
        topic="calculating with brackets",
        place=f"the step where you added the {c}",
        cause=f"you multiplied only the {b} by {a} and added the {c} just once",
        probes=(
            f"What do the brackets in {e} tell you about {b} and {c}?",
            f"How many groups of {c} should there be in all?",
            f"How is {e} different from {a} * {b} + {c}?",
        ),
        hints=(
            "What stands inside brackets is one number, and it is worked out before it is multiplied.",
            f"The {a} counts how often the whole bracket is taken, not only its first part.",
            f"Writing the bracket {a} times in a row and adding shows what belongs to the result.",
        ),
        actions=(
            f"work out {b} + {c} before you use the {a}",
            f"draw {a} rows, each with {b} dots and {c} crosses, and count all the marks",
            f"count how many times the {c} is used in your working",
        ),
        solution=(f"Brackets first: {b} + {c} = {b + c}.", f"Then multiply: {a} * {b + c} = {a * (b + c)}"),
        wrong_place=f"the product {a} * {b} = {a * b}",
    )


def _draw_addition_before_subtraction(rng: Random) -> Case | None:
    a, b, c = rng.randint(15, 60), rng.randint(2, 15), rng.randint(2, 15)
    e, wrong = f"{a} - {b} + {c}", addition_before_subtraction(a, b, c)
    if wrong < 1:
        return None
    return Case(
        question=fill(rng, MINUS_PLUS, a=a, b=b, c=c, e=e),
        answer=str(a - b + c),
        wrong_answer=str(wrong),
        work=(
            f"Addition comes before subtraction, so I did {b} + {c} = {b + c}.",
            f"Then I did {a} - {b + c} = {wrong}.",
            f"My answer is {wrong}",
        ),
        wrong_step=0,
        topic="the order of addition and subtraction",
        place=f"the first step, {b} + {c}",
        cause="you did the addition first, although it stands after the subtraction",
        probes=(
            f"What sign belongs to the {c} in {e}?",
            "Do addition and subtraction have different ranks, or the same one?",
            f"If you start with {a}, lose {b} and then gain {c}, do you end above or below {a - b}?",
        ),
        hints=(
            "Addition and subtraction have the same rank, so they are done from left to right.",
            f"Only the {b} is taken away; the {c} comes on top.",
            f"Your working takes away both {b} and {c}, which would be written with brackets.",
        ),
        actions=(
            f"start on the left with {a} - {b} and only then use the {c}",
            f"walk the three numbers on a number line that starts at {a}",
            "put a ring around each number together with the sign in front of it",
        ),
        solution=(f"From left to right: {a} - {b} = {a - b}.", f"{a - b} + {c} = {a - b + c}"),
        wrong_place=f"the subtraction {a} - {b + c} = {wrong}",
    )


ORDER = (
    Misconception(
        id="left_to_right",
        area="whole numbers",
        name="Works strictly from left to right",
        source="Kieran (1979), Children's operational thinking within the context of bracketing and the order of "
        "operations, Proceedings of PME 3",
        make=redrawn(_draw_left_to_right),
    ),
    Misconception(
        id="brackets_ignored",
        area="whole numbers",
        name="Ignores the brackets",
        source="Booth (1984), Algebra: Children's Strategies and Errors, NFER-Nelson; Kieran (1979), PME 3",
        make=redrawn(_draw_brackets_ignored),
    ),
    Misconception(
        id="addition_before_subtraction",
        area="whole numbers",
        name="Adds before subtracting",
        source="Linchevski & Livneh (1999), Structure sense: the relationship between algebraic and numerical "
        "contexts, Educational Studies in Mathematics 40",
        make=redrawn(_draw_addition_before_subtraction),
    ),
)
