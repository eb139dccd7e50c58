"""Systematic errors in the multiplication and division of fractions."""

from fractions import Fraction
from random import Random

from edu_align.tutoring.draw import fill, redrawn
from edu_align.tutoring.types import Case, Misconception

TIMES = (
    "Work out {x} * {y}.",
    "Multiply {x} by {y}.",
    "What is {x} of {y}?",
    "{name} has {y} of a litre of paint and uses {x} of it. How many litres is that?",
    "A garden bed is {x} of a metre wide and {y} of a metre long. What is its area in square metres?",
    "{y} of the visitors of a {place} are children, and {x} of the children wear a hat. What fraction of all is that?",
)
DIVIDED = (
    "Work out {x} / ({y}).",
    "Divide {x} by {y}.",
    "How many times does {y} fit into {x}?",
    "{name} pours {x} of a litre of juice into glasses of {y} of a litre. How many glasses, as a number, is that?",
    "A ribbon of {x} of a metre is measured in strips of {y} of a metre. How many strips is that, as a number?",
)


def multiply_keeps_denominator(a: int, c: int, d: int) -> tuple[int, int]:
    """a/d * c/d worked like a sum: the numerators are multiplied and the common denominator is kept."""
    return a * c, d


def multiply_crosswise(a: int, b: int, c: int, d: int) -> tuple[int, int]:
    """a/b * c/d worked by cross multiplication: (a * d)/(b * c)."""
    return a * d, b * c


def divide_flips_first(a: int, b: int, c: int, d: int) -> tuple[int, int]:
    """(a/b) / (c/d) worked as b/a * c/d: the first fraction is turned over."""
    return b * c, a * d


def _proper(rng: Random) -> tuple[int, int]:
    while True:
        b = rng.randint(3, 10)
        a = rng.randint(2, b - 1)
        if Fraction(a, b).denominator == b:
            return a, b


def _reduced(expression: str, top: int, bottom: int) -> tuple[str, ...]:
    """Last lines of a solution: the raw result, and the reduced one where it looks different."""
    raw, value = f"{top}/{bottom}", str(Fraction(top, bottom))
    if raw == value:
        return (f"{expression} = {raw}",)
    return f"{expression} = {raw}.", f"In lowest terms: {raw} = {value}"


def _draw_keeps_denominator(rng: Random) -> Case | None:
    (a, d), c = _proper(rng), rng.randint(1, 9)
    if c >= d or Fraction(c, d).denominator != d:
        return None
    top, _ = multiply_keeps_denominator(a, c, d)
    x, y, wrong = f"{a}/{d}", f"{c}/{d}", f"{top}/{d}"
    return Case(
        question=fill(rng, TIMES, x=x, y=y),
        answer=str(Fraction(a, d) * Fraction(c, d)),
        wrong_answer=wrong,
        work=(
            f"Both fractions have the denominator {d}, so the result has the denominator {d} as well.",
            f"Numerators: {a} * {c} = {top}.",
            f"So {x} * {y} = {wrong}",
        ),
        wrong_step=0,
        topic="multiplying fractions with equal denominators",
        place="the step about the denominator",
        cause=f"you kept the {d} as you would in a sum of fractions",
        probes=(
            f"If you take a part of {y}, should the result be larger or smaller than {y}?",
            f"Into how many parts is the whole cut when each of {d} parts is cut into {d} again?",
            "For which operation do equal denominators stay as they are?",
        ),
        hints=(
            "Taking a fraction of a fraction cuts the parts into smaller parts.",
            "Keeping the denominator belongs to adding and subtracting.",
            "In a product of fractions both the tops and the bottoms are multiplied.",
        ),
        actions=(
            f"draw a square, cut it into {d} columns and {d} rows, and count the small cells",
            "use your method on 1/2 * 1/2 and compare with half of a half",
            f"decide whether {wrong} is smaller than {y}, as a part of it should be",
        ),
        solution=(
            f"Numerators: {a} * {c} = {top}. Denominators: {d} * {d} = {d * d}.",
            *_reduced(f"{x} * {y}", top, d * d),
        ),
        wrong_place=f"the product of the numerators, {a} * {c} = {top}",
    )


def _draw_crosswise(rng: Random) -> Case | None:
    (a, b), (c, d) = _proper(rng), _proper(rng)
    top, bottom = multiply_crosswise(a, b, c, d)
    x, y, wrong = f"{a}/{b}", f"{c}/{d}", f"{top}/{bottom}"
    if Fraction(top, bottom) <= Fraction(c, d):
        return None
    return Case(
        question=fill(rng, TIMES, x=x, y=y),
        answer=str(Fraction(a, b) * Fraction(c, d)),
        wrong_answer=wrong,
        work=(
            f"I multiplied crosswise: {a} * {d} = {top} for the top.",
            f"And {b} * {c} = {bottom} for the bottom.",
            f"So {x} * {y} = {wrong}",
        ),
        wrong_step=0,
        topic="multiplying fractions",
        place=f"the step where you multiplied {a} by {d}",
        cause="you paired the top of one fraction with the bottom of the other",
        probes=(
            f"Both fractions are less than 1. Can {x} of {y} be as large as {wrong}?",
            "In which kind of problem have you seen crosswise multiplication, and what was it for?",
            "What happens to the number of parts when you cut every part into smaller parts?",
        ),
        hints=(
            "Crosswise products help to compare two fractions, not to multiply them.",
            "The top of a product counts the parts that are taken, so it comes from the two tops.",
            f"A part of {y} has to be smaller than {y}.",
        ),
        actions=(
            f"draw a rectangle with {b} columns and {d} rows and shade {x} of it one way and {y} the other way",
            "use your method on 1/2 * 1/3 and check the result with a drawing",
            "write the two numerators next to each other and the two denominators below them before you multiply",
        ),
        solution=(
            f"Numerators: {a} * {c} = {a * c}. Denominators: {b} * {d} = {b * d}.",
            *_reduced(f"{x} * {y}", a * c, b * d),
        ),
        wrong_place=f"the bare calculation {b} * {c} = {bottom}",
    )


def _draw_flips_first(rng: Random) -> Case | None:
    (a, b), (c, d) = _proper(rng), _proper(rng)
    top, bottom = divide_flips_first(a, b, c, d)
    x, y, wrong = f"{a}/{b}", f"{c}/{d}", f"{top}/{bottom}"
    if Fraction(a, b) <= Fraction(c, d):
        return None
    return Case(
        question=fill(rng, DIVIDED, x=x, y=y),
        answer=str(Fraction(a, b) / Fraction(c, d)),
        wrong_answer=wrong,
        work=(
            f"To divide, I turn the first fraction over: {b}/{a} * {y}.",
            f"{b} * {c} = {top} and {a} * {d} = {bottom}.",
            f"So the answer is {wrong}",
        ),
        wrong_step=0,
        topic="dividing by a fraction",
        place="the step where you turned a fraction over",
        cause=f"you turned over {x}, which is the amount that is being divided",
        probes=(
            f"Is {y} smaller than {x}, and what does that say about how often it fits?",
            "Which of the two fractions is the one we divide by?",
            f"What would you have to multiply {y} by to get 1?",
        ),
        hints=(
            "Dividing by a number is multiplying by its reciprocal; the amount you start with stays as it is.",
            f"Since {y} is smaller than {x}, it has to fit more than once.",
            f"Multiplying your result by {y} should lead back to {x}.",
        ),
        actions=(
            "mark which fraction is divided and which one it is divided by",
            f"multiply {wrong} by {y} and see whether you get {x}",
            f"draw {x} of a bar and mark off pieces of {y}",
        ),
        solution=(
            f"Dividing by {y} is multiplying by {d}/{c}: {x} * {d}/{c}.",
            *_reduced(f"{x} * {d}/{c}", a * d, b * c),
        ),
        wrong_place="the change from a division to a multiplication",
    )


SIEGLER = (
    "Siegler, Thompson & Schneider (2011), An integrated theory of whole number and fractions development, "
    "Cognitive Psychology 62"
)
ASHLOCK = "Ashlock, Error Patterns in Computation (Merrill/Pearson, several editions): multiplication of fractions"
TIROSH = (
    "Tirosh (2000), Enhancing prospective teachers' knowledge of children's conceptions: the case of division of "
    "fractions, Journal for Research in Mathematics Education 31"
)
ENTRIES = (
    ("multiply_keeps_denominator", "Keeps the common denominator in a product", SIEGLER, _draw_keeps_denominator),
    ("multiply_crosswise", "Multiplies fractions crosswise", ASHLOCK, _draw_crosswise),
    ("divide_flips_first", "Turns over the first fraction instead of the second", TIROSH, _draw_flips_first),
)
PRODUCTS = tuple(Misconception(id, "fractions", name, source, redrawn(draw)) for id, name, source, draw in ENTRIES)
