"""Systematic errors with the sign of a product and with the square of a negative number."""

from random import Random

from edu_align.tutoring.draw import fill, redrawn
from edu_align.tutoring.types import Case, Misconception

TIMES = (
    "Work out {e}.",
    "What is the product {e}?",
    "Multiply -{m} by -{n}.",
    "A tank loses {m} litres an hour. The change since {n} hours ago, counted backwards, is {e}. Work it out.",
    "{name} cancels {n} debts of {m} dollars each. The change in dollars is {e}. Work it out.",
)
SQUARES = (
    "Work out {e}.",
    "What is the value of {e}?",
    "Calculate {e}, and mind what the exponent belongs to.",
    "{name} types {e} into a calculator that follows the usual rules. What does it show?",
    "{name} and {other} disagree about {e}. What is the right value?",
)


def negatives_multiply_to_negative(m: int, n: int) -> int:
    """(-m) * (-n) worked as -(m * n): both signs are minus, so the result gets a minus."""
    return -(m * n)


def minus_inside_square(a: int) -> int:
    """-a^2 worked as (-a)^2: the minus sign is squared as well."""
    return (-a) ** 2


def _draw_product(rng: Random) -> Case | None:
    m, n = rng.randint(2, 12), rng.randint(2, 12)
    e, wrong = f"(-{m}) * (-{n})", negatives_multiply_to_negative(m, n)
    return Case(
        question=fill(rng, TIMES, m=m, n=n, e=e),
        answer=str(m * n),
        wrong_answer=str(wrong),
        work=(
            f"The problem is {e}.",
            "Both numbers are negative, so the product is negative too.",
            f"So I put a minus sign in front of the product of {m} and {n}: {wrong}",
        ),
        wrong_step=1,
        topic="multiplying two negative numbers",
        place="the step about the sign of the product",
        cause="you carried the minus sign over, as you would for a sum of two negative numbers",
        probes=(
            f"What is 2 * (-{n}), then 1 * (-{n}), then 0 * (-{n}), and how does the list go on?",
            f"What does multiplying -{n} by -1 do to it on a number line?",
            "How is the sign of a product different from the sign of a sum?",
        ),
        hints=(
            "Multiplying by a negative number turns a number over to the other side of zero.",
            f"In the list 2 * (-{n}), 1 * (-{n}), 0 * (-{n}) each result is {n} more than the one before.",
            "The rule that two negative numbers give a negative result belongs to sums.",
        ),
        actions=(
            f"continue the list 2 * (-{n}), 1 * (-{n}), 0 * (-{n}) by two more lines",
            f"work out {m} * (-{n}) first and then ask what changes when {m} becomes -{m}",
            "decide on the sign of the product before you calculate its size",
        ),
        solution=("Two negative factors give a positive product.", f"{e} = {m * n}"),
        wrong_place="the size of the product without its sign",
    )


def _draw_square(rng: Random) -> Case | None:
    a = rng.randint(2, 15)
    e, wrong = f"-{a}^2", minus_inside_square(a)
    return Case(
        question=fill(rng, SQUARES, a=a, e=e),
        answer=str(-(a**2)),
        wrong_answer=str(wrong),
        work=(f"I read {e} as (-{a}) * (-{a}).", "Minus times minus is plus.", f"So my answer is {wrong}"),
        wrong_step=0,
        topic="squares and minus signs",
        place=f"the first line, where you rewrote {e}",
        cause="you squared the minus sign as well, although there are no brackets around it",
        probes=(
            f"In {e}, what does the exponent belong to: only the {a}, or the minus sign as well?",
            f"How would you write the square of the number -{a} so that nobody can misread it?",
            f"What is 0 - {a}^2, and how is it related to {e}?",
        ),
        hints=(
            "An exponent belongs only to what stands directly in front of it, unless there are brackets.",
            f"The minus sign in {e} waits until the power has been worked out.",
            f"You can think of {e} as the opposite of {a}^2.",
        ),
        actions=(
            f"write {a}^2 as a product first and only then put the minus sign in front",
            f"compare (-{a})^2 with {e} and say which one has brackets and why that matters",
            f"underline the part of {e} that the exponent belongs to",
        ),
        solution=(f"The power comes first: {a}^2 = {a} * {a} = {a * a}.", f"Then the minus sign: {e} = {-a * a}"),
        wrong_place="the rule that minus times minus is plus",
    )


SIGNS = (
    Misconception(
        "negatives_multiply_to_negative",
        "integers",
        "Gives the product of two negative numbers a minus sign",
        "Küchemann (1981), Positive and negative numbers, in Hart (ed.), Children's Understanding of "
        "Mathematics: 11-16",
        redrawn(_draw_product),
    ),
    Misconception(
        "minus_inside_square",
        "integers",
        "Squares the minus sign in -a^2",
        "Cangelosi, Madrid, Cooper, Olson & Hartter (2013), The negative sign and exponential expressions, Journal of "
        "Mathematical Behavior 32",
        redrawn(_draw_square),
    ),
)
