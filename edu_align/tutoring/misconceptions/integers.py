"""Systematic errors with negative numbers: sums and differences here, joined with order, products and squares."""

from random import Random

from edu_align.tutoring.draw import fill, redrawn
from edu_align.tutoring.misconceptions.integer_order import ORDER_OF_INTEGERS
from edu_align.tutoring.misconceptions.integer_signs import SIGNS
from edu_align.tutoring.types import Case, Misconception

BARE = (
    "Work out {e}.",
    "What is {e}?",
    "Calculate {e} without a calculator.",
    "{name} and {other} get different results for {e}. What is the right result?",
)
DEBT_REMOVED = (
    *BARE,
    "A team has {a} points. A penalty of {n} points is cancelled, so the new score is {e}. What is the score?",
    "The temperature was {a} degrees, and the day before it was {b}. The rise in degrees is {e}. How many is that?",
)
FALLING = (
    *BARE,
    "At dawn it was {a} degrees. Then the temperature fell by {n} degrees. What is the temperature now, in degrees?",
    "A diver is at {a} metres and goes down another {n} metres. At what height in metres is the diver now?",
)
RISING = (
    *BARE,
    "At dawn it was {a} degrees. Then the temperature rose by {n} degrees. What is the temperature now, in degrees?",
    "{name} has a balance of {a} dollars and pays in {n} dollars. What is the new balance in dollars?",
)


def minus_negative_as_minus(a: int, b: int) -> int:
    """a - b for b < 0 worked as a - |b|: the second sign is dropped."""
    return a - abs(b)


def two_minuses_make_plus(a: int, n: int) -> int:
    """a - n for a < 0 worked as |a| + n: "two minuses make a plus" applied to a sum of two falls."""
    return abs(a) + n


def sizes_added_first_sign_kept(a: int, n: int) -> int:
    """a + n for a < 0 worked as -(|a| + n): the sizes are added and the sign in front is kept."""
    return -(abs(a) + n)


def _draw_minus_negative(rng: Random) -> Case | None:
    a, n = rng.randint(2, 15), rng.randint(2, 12)
    b, e, wrong = -n, f"{a} - (-{n})", minus_negative_as_minus(a, -n)
    return Case(
        question=fill(rng, DEBT_REMOVED, a=a, b=b, n=n, e=e),
        answer=str(a - b),
        wrong_answer=str(wrong),
        work=(
            f"The problem is {e}.",
            f"I wrote it as {a} - {n}, because one minus sign is enough.",
            f"{a} - {n} = {wrong}",
        ),
        wrong_step=1,
        topic="subtracting a negative number",
        place=f"the step where {e} turned into {a} - {n}",
        cause=f"you left out the sign of -{n} and took {n} away instead",
        probes=(
            f"What is the difference in meaning between taking away {n} and taking away -{n}?",
            f"If somebody takes a debt of {n} away from you, are you better or worse off?",
            f"Which way do you move on a number line when you subtract {n}, and which way when you subtract -{n}?",
        ),
        hints=(
            "The first minus sign is the operation, and the second one belongs to the number.",
            "Taking away something negative has the opposite effect of taking away something positive.",
            f"The pattern {a} - 2, {a} - 1, {a} - 0 shows how the result changes as less and less is taken away.",
        ),
        actions=(
            f"continue the pattern {a} - 2, {a} - 1, {a} - 0, {a} - (-1) and look at how the results change",
            f"mark {a} on a number line and decide in which direction -{n} sends you when it is subtracted",
            f"model {a} with counters, add zero pairs, and take -{n} away",
        ),
        solution=(f"Subtracting -{n} is the same as adding {n}.", f"{e} = {a} + {n} = {a + n}"),
        wrong_place=f"the subtraction {a} - {n} = {wrong}",
    )


def _draw_two_minuses(rng: Random) -> Case | None:
    a, n = -rng.randint(2, 15), rng.randint(2, 12)
    e, wrong = f"{a} - {n}", two_minuses_make_plus(a, n)
    return Case(
        question=fill(rng, FALLING, a=a, n=n, e=e),
        answer=str(a - n),
        wrong_answer=str(wrong),
        work=(
            f"I have to work out {e}.",
            f"There are two minus signs, and two minuses make a plus, so it is {-a} + {n}.",
            f"{-a} + {n} = {wrong}",
        ),
        wrong_step=1,
        topic="subtracting from a negative number",
        place="the step with the two minus signs",
        cause="you used a rule for two signs that stand next to each other, although these two do not",
        probes=(
            f"Where on a number line do you start, and in which direction does subtracting {n} take you?",
            f"It is {a} degrees and gets colder. Can it end up above zero?",
            "For which kind of problem is the rule about two minus signs meant?",
        ),
        hints=(
            f"The first minus sign says where you start, left of zero at {a}.",
            f"Subtracting the positive number {n} always moves to the left.",
            "Two minus signs only combine when they belong to the same number or are multiplied.",
        ),
        actions=(
            f"draw a number line, start at {a} and take {n} steps in the direction of the subtraction",
            f"tell a story with temperatures or debts for {e}",
            f"decide first whether the result lies left or right of {a}",
        ),
        solution=(f"Start at {a} and go {n} to the left.", f"{e} = {a - n}"),
        wrong_place=f"the addition {-a} + {n} = {wrong}",
    )


def _draw_sizes_added(rng: Random) -> Case | None:
    a, n = -rng.randint(3, 18), rng.randint(2, 12)
    e, wrong = f"{a} + {n}", sizes_added_first_sign_kept(a, n)
    if a + n == 0:
        return None
    return Case(
        question=fill(rng, RISING, a=a, n=n, e=e),
        answer=str(a + n),
        wrong_answer=str(wrong),
        work=(
            f"I have to work out {e}.",
            f"First I added the sizes: {-a} + {n} = {-a + n}.",
            f"The sign in front is a minus, so the result is {wrong}",
        ),
        wrong_step=1,
        topic="adding a positive to a negative number",
        place=f"the step where you added {-a} and {n}",
        cause=f"you counted {n} as if it pulled in the same direction as {a}",
        probes=(
            f"If you owe {-a} dollars and get {n} dollars, does your debt grow or shrink?",
            f"In which direction do you move on a number line when you add {n}?",
            f"Is {wrong} to the left or to the right of {a}, and where should the result be?",
        ),
        hints=(
            "A positive and a negative number pull in opposite directions, so they partly cancel.",
            f"Adding {n} moves to the right of {a} on the number line.",
            "The sign of the result depends on which of the two has the larger size.",
        ),
        actions=(
            f"start at {a} on a number line and take {n} steps to the right",
            f"lay out {-a} negative and {n} positive counters and remove the pairs that cancel",
            "say before you calculate whether the result is above or below zero",
        ),
        solution=(
            f"The signs differ, so the sizes are subtracted: {max(-a, n)} - {min(-a, n)} = {abs(a + n)}.",
            f"The sign is that of the one with the larger size: {e} = {a + n}",
        ),
        wrong_place="the minus sign of the result" if -a > n else "the first line, where you wrote down the problem",
    )


KUECHEMANN = (
    "Küchemann (1981), Positive and negative numbers, in Hart (ed.), Children's Understanding of Mathematics: 11-16"
)
MISCONCEPTIONS: tuple[Misconception, ...] = (
    Misconception(
        "minus_negative_as_minus",
        "integers",
        "Drops the sign when a negative number is subtracted",
        KUECHEMANN,
        redrawn(_draw_minus_negative),
    ),
    Misconception(
        "two_minuses_make_plus",
        "integers",
        "Lets any two minus signs make a plus",
        "Vlassis (2004), Making sense of the minus sign or becoming flexible in 'negativity', Learning "
        "and Instruction 14",
        redrawn(_draw_two_minuses),
    ),
    Misconception(
        "sizes_added_first_sign_kept",
        "integers",
        "Adds the sizes and keeps the first sign",
        KUECHEMANN,
        redrawn(_draw_sizes_added),
    ),
    *ORDER_OF_INTEGERS,
    *SIGNS,
)
