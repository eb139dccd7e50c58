"""Systematic errors with sums of fractions, joined with those of products, quotients, sizes and mixed numbers."""

from fractions import Fraction
from math import lcm
from random import Random

from edu_align.tutoring.draw import fill, pick, redrawn
from edu_align.tutoring.misconceptions.fraction_products import PRODUCTS
from edu_align.tutoring.misconceptions.fraction_sizes import SIZES
from edu_align.tutoring.misconceptions.mixed_numbers import MIXED
from edu_align.tutoring.types import Case, Misconception

SUMS = (
    "Work out {x} + {y}.",
    "Add the fractions {x} and {y}.",
    "What is the sum of {x} and {y}?",
    "{name} drank {x} of a litre of juice and {other} drank {y} of a litre. How many litres did the two drink?",
    "A recipe needs {x} of a cup of milk and {y} of a cup of water. How many cups of liquid is that?",
    "{name} ran {x} of a mile and then walked {y} of a mile. How many miles was that in all?",
    "A board is {x} of a metre long, and {name} adds a piece of {y} of a metre. How long is it now, in metres?",
)


def add_across(a: int, b: int, c: int, d: int) -> tuple[int, int]:
    """a/b + c/d worked as (a + c)/(b + d)."""
    return a + c, b + d


def denominators_only_scaled(a: int, b: int, c: int, d: int) -> tuple[int, int]:
    """a/b + c/d over the common denominator, with both numerators left as they are."""
    return a + c, lcm(b, d)


def _draw_pair(rng: Random) -> tuple[int, int, int, int] | None:
    """Two proper fractions in lowest terms with different denominators."""
    b, d = rng.sample((2, 3, 4, 5, 6, 7, 8, 9, 10, 12), 2)
    a, c = rng.randint(1, b - 1), rng.randint(1, d - 1)
    return (a, b, c, d) if (Fraction(a, b).denominator, Fraction(c, d).denominator) == (b, d) else None


def _solution(a: int, b: int, c: int, d: int) -> tuple[str, ...]:
    m = lcm(b, d)
    p, q = a * m // b, c * m // d
    lines = (
        f"{m} is a common denominator: {a}/{b} = {p}/{m} and {c}/{d} = {q}/{m}.",
        f"{p}/{m} + {q}/{m} = {p + q}/{m}",
    )
    total = Fraction(p + q, m)
    return lines if total.denominator == m else (*lines, f"In lowest terms: {p + q}/{m} = {total}")


def _draw_add_across(rng: Random) -> Case | None:
    pair = _draw_pair(rng)
    if pair is None:
        return None
    a, b, c, d = pair
    top, bottom = add_across(a, b, c, d)
    wrong, big = f"{top}/{bottom}", max(Fraction(a, b), Fraction(c, d))
    return Case(
        question=fill(rng, SUMS, x=f"{a}/{b}", y=f"{c}/{d}"),
        answer=str(Fraction(a, b) + Fraction(c, d)),
        wrong_answer=wrong,
        work=(
            f"Numerators: {a} + {c} = {top}.",
            f"Denominators: {b} + {d} = {bottom}.",
            f"So {a}/{b} + {c}/{d} = {wrong}",
        ),
        wrong_step=0,
        topic="adding fractions with different denominators",
        place="the step where you added the numerators and the denominators",
        cause=f"you added {a}/{b} and {c}/{d} top to top and bottom to bottom, although their parts differ in size",
        probes=(
            f"What does the {b} in {a}/{b} tell you about the size of the parts?",
            f"Your result is {wrong}. Is it larger or smaller than {big}, and what should a sum be?",
            f"Could you count {a}/{b} and {c}/{d} in parts of the same size?",
        ),
        hints=(
            "The denominator names the size of the parts; it is not an amount that gets added.",
            "Fractions can be added once both are cut into parts of the same size.",
            f"A number that both {b} and {d} divide tells you a size of part that fits both fractions.",
        ),
        actions=(
            f"list multiples of {b} and of {d} until you find one they share",
            f"draw two bars of equal length, shade {a}/{b} of one and {c}/{d} of the other",
            "use your method on 1/2 + 1/2 and see whether the result makes sense",
        ),
        solution=_solution(a, b, c, d),
        wrong_place=pick(rng, (f"the calculation {a} + {c} = {top}", f"the calculation {b} + {d} = {bottom}")),
    )


def _draw_denominators_only(rng: Random) -> Case | None:
    pair = _draw_pair(rng)
    if pair is None:
        return None
    a, b, c, d = pair
    top, m = denominators_only_scaled(a, b, c, d)
    wrong = f"{top}/{m}"
    x, y = (f"{a}/{b}", f"{a}/{m}") if m != b else (f"{c}/{d}", f"{c}/{m}")
    n = b if m != b else d
    return Case(
        question=fill(rng, SUMS, x=f"{a}/{b}", y=f"{c}/{d}"),
        answer=str(Fraction(a, b) + Fraction(c, d)),
        wrong_answer=wrong,
        work=(
            f"{m} is a common denominator of {b} and {d}.",
            f"So I wrote {a}/{m} + {c}/{m}.",
            f"{a}/{m} + {c}/{m} = {wrong}",
        ),
        wrong_step=1,
        topic="writing fractions with a common denominator",
        place=f"the step where you wrote {a}/{m} + {c}/{m}",
        cause="you changed the denominators and left both numerators as they were",
        probes=(
            f"Is {y} the same amount as {x}?",
            f"When every part of {x} is cut into {m // n} equal pieces, what happens to the number of pieces?",
            f"What did you multiply {n} by to get {m}, and what else has to be multiplied by it?",
        ),
        hints=(
            "Changing the denominator alone changes the value of a fraction.",
            "To keep its value, multiply the top and the bottom of a fraction by the same number.",
            f"With smaller parts you need more of them: the top of {x} has to grow as well.",
        ),
        actions=(
            f"write down what you multiplied {n} by to reach {m} and use the same factor on top",
            f"draw {x} as a bar and cut each part into {m // n} equal pieces",
            f"compare {x} and {y} on a number line",
        ),
        solution=_solution(a, b, c, d),
        wrong_place=f"the choice of {m} as a common denominator",
    )


MISCONCEPTIONS: tuple[Misconception, ...] = (
    Misconception(
        "add_across",
        "fractions",
        "Adds numerators and denominators",
        "Kerslake (1986), Fractions: Children's Strategies and Errors, NFER-Nelson; Hart (1981), Children's "
        "Understanding of Mathematics: 11-16, chapter on fractions",
        redrawn(_draw_add_across),
    ),
    Misconception(
        "denominators_only_scaled",
        "fractions",
        "Changes to a common denominator without scaling the numerators",
        "Ashlock, Error Patterns in Computation (Merrill/Pearson, several editions): addition of fractions",
        redrawn(_draw_denominators_only),
    ),
    *SIZES,
    *PRODUCTS,
    *MIXED,
)
