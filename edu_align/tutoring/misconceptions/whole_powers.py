"""A systematic error with powers of whole numbers: the exponent taken as a factor."""

from random import Random

from edu_align.tutoring.draw import fill, redrawn
from edu_align.tutoring.types import Case, Misconception

POWERS = (
    "Work out {e}.",
    "What is the value of {e}?",
    "Write {e} as an ordinary number.",
    "{name} and {other} disagree about {e}. What is the right value?",
    "A code has {b} positions with {a} choices for each, so there are {e} codes. How many is that?",
    "A magic pot multiplies coins by {a} every day, so one coin becomes {e} coins after {b} days. How many is that?",
)


def power_as_product(a: int, b: int) -> int:
    """a^b worked as a times b."""
    return a * b


def _draw_power_as_product(rng: Random) -> Case | None:
    a, b = rng.randint(2, 9), rng.randint(2, 4)
    if a == b:
        return None
    e, wrong = f"{a}^{b}", power_as_product(a, b)
    factors = " * ".join([str(a)] * b)
    return Case(
        question=fill(rng, POWERS, a=a, b=b, e=e),
        answer=str(a**b),
        wrong_answer=str(wrong),
        work=(f"{e} means {a} times {b}.", f"{a} * {b} = {wrong}.", f"My answer is {wrong}"),
        wrong_step=0,
        topic="working out powers",
        place=f"the first step, where you read {e}",
        cause=f"you read the small {b} as a number to multiply by",
        probes=(
            f"What does the small {b} in {e} count?",
            f"How would you write {a} * {b} as a repeated addition, and how is a power different?",
            f"Which number is multiplied again and again in {e}?",
        ),
        hints=(
            "The exponent says how many times the base is used as a factor.",
            f"A product such as {a} * {b} is short for a repeated addition; a power is short for something else.",
            f"In {e} only the number {a} appears as a factor.",
        ),
        actions=(
            f"write {e} as a long multiplication in which every factor is {a}",
            f"count the factors {a} that you write down and compare the count with the exponent",
            f"compare drawings of {a} + {a} and {a} * {a}",
        ),
        solution=(f"{e} = {factors}.", f"{factors} = {a**b}"),
        wrong_place=f"the multiplication {a} * {b} = {wrong}",
    )


POWERS_OF_WHOLE_NUMBERS = (
    Misconception(
        id="power_as_product",
        area="whole numbers",
        name="Multiplies base and exponent",
        source="Pitta-Pantazi, Christou & Zachariades (2007), Secondary school students' levels of understanding in "
        "computing exponents, Journal of Mathematical Behavior 26",
        make=redrawn(_draw_power_as_product),
    ),
)
