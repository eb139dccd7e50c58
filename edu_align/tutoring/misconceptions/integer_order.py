"""Systematic errors with the order of integers: comparing them, and subtracting a larger number from a smaller one."""

from random import Random

from edu_align.tutoring.draw import fill, pick, redrawn
from edu_align.tutoring.types import Case, Misconception

BELOW_ZERO = (
    "Work out {e}.",
    "What is {e}?",
    "Calculate {e} without a calculator.",
    "It is {a} degrees and gets {n} degrees colder. What is the temperature then, in degrees?",
    "{name} has {a} dollars on the account and pays a bill of {n} dollars. What is the balance in dollars?",
)
LARGER = (
    "Which number is larger, {p} or {q}?",
    "Which of {p} and {q} lies further to the right on a number line?",
    "In one town it is {p} degrees, in another {q} degrees. What is the temperature in the warmer town, in degrees?",
    "{name} has a balance of {p} dollars and {other} one of {q} dollars. What is the higher balance in dollars?",
    "Two fish swim at heights of {p} m and {q} m. What is the height in metres of the fish that is higher up?",
)


def larger_minus_smaller(a: int, n: int) -> int:
    """a - n worked as the larger number minus the smaller one, so that the result is never negative."""
    return max(a, n) - min(a, n)


def larger_size_is_larger(p: int, q: int) -> int:
    """Of two negative numbers, the one with the larger size is called the larger one."""
    return max(p, q, key=abs)


def _draw_larger_minus_smaller(rng: Random) -> Case | None:
    a, n = rng.randint(2, 15), rng.randint(5, 25)
    e, wrong = f"{a} - {n}", larger_minus_smaller(a, n)
    if n <= a or wrong == a:
        return None
    return Case(
        question=fill(rng, BELOW_ZERO, a=a, n=n, e=e),
        answer=str(a - n),
        wrong_answer=str(wrong),
        work=(
            f"The problem is {e}.",
            f"You can only take the smaller one from the larger one, so I turned it into {n} - {a}.",
            f"{n} - {a} = {wrong}",
        ),
        wrong_step=1,
        topic="subtracting a larger number from a smaller one",
        place=f"the step where {e} became {n} - {a}",
        cause="you swapped the two numbers so that the smaller one was taken from the larger one",
        probes=(
            f"Do {n} - {a} and {e} describe the same situation?",
            f"If you have {a} dollars and a bill of {n} dollars, can you pay it and still own something?",
            f"Where on a number line are you after you have taken only {a} of the {n} steps?",
        ),
        hints=(
            "Numbers can be swapped in an addition, but not in a subtraction.",
            "The number line goes on to the left of zero.",
            f"Taking {a} away from {a} leads to zero, and there is still more to take away.",
        ),
        actions=(
            f"start at {a} on a number line and take {n} steps to the left",
            f"split {n} into {a} and the rest, and take the two parts away one after the other",
            f"make up a story about temperature for {e}",
        ),
        solution=(f"{a} - {a} = 0, and {wrong} more are still to be taken away.", f"{e} = {a - n}"),
        wrong_place=f"the calculation {n} - {a} = {wrong}",
    )


def _draw_larger(rng: Random) -> Case | None:
    p, q = -rng.randint(2, 30), -rng.randint(2, 30)
    if p == q:
        return None
    wrong, right = larger_size_is_larger(p, q), max(p, q)
    return Case(
        question=fill(rng, LARGER, p=p, q=q),
        answer=str(right),
        wrong_answer=str(wrong),
        work=(
            f"I looked at the numbers without their signs: {-p} and {-q}.",
            f"{-wrong} is larger than {-right}.",
            f"So the answer is {wrong}",
        ),
        wrong_step=2,
        topic="comparing negative numbers",
        place="the last step, where you put the minus signs back",
        cause="you kept the order of the sizes, although it turns round for negative numbers",
        probes=(
            "Which way along the number line do numbers get larger?",
            f"Is a debt of {-wrong} dollars better or worse than a debt of {-right} dollars?",
            f"How far is {wrong} from zero, and on which side of zero is it?",
        ),
        hints=(
            "Below zero, a number that is further away from zero is further to the left.",
            "Of two temperatures below zero, the one closer to zero is the warmer one.",
            f"The order of {-right} and {-wrong} is mirrored at zero when both get a minus sign.",
        ),
        actions=(
            "mark zero and both numbers on a number line",
            "imagine both numbers as temperatures and decide which day is warmer",
            f"say how many steps {wrong} is away from zero, and do the same for the other number",
        ),
        solution=("On the number line the larger number is further to the right.", f"So the answer is {right}"),
        wrong_place=pick(rng, (f"the comparison of {-wrong} and {-right}", "the sizes without the signs")),
    )


ORDER_OF_INTEGERS = (
    Misconception(
        "larger_minus_smaller",
        "integers",
        "Turns the subtraction round to avoid a negative result",
        "Peled (1991), Levels of knowledge about signed numbers: effects of age and ability, Proceedings of PME 15",
        redrawn(_draw_larger_minus_smaller),
    ),
    Misconception(
        "larger_size_is_larger",
        "integers",
        "Orders negative numbers by their size",
        "Bofferding (2014), Negative integer understanding: characterizing first graders' mental models, Journal for "
        "Research in Mathematics Education 45",
        redrawn(_draw_larger),
    ),
)
