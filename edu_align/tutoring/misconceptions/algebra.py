"""Errors with algebraic expressions, and those on powers and equations from `powers.py` and `equations.py`."""

from random import Random

from edu_align.tutoring.contexts import Draw, misconception, poly
from edu_align.tutoring.misconceptions.equations import EQUATIONS
from edu_align.tutoring.misconceptions.powers import POWERS
from edu_align.tutoring.types import Misconception

DISTRIBUTE = """
id: distribute_first_only
area: algebra
name: The factor multiplies the first term of the bracket only
source: Matz, M. (1982), Towards a process model for high school algebra errors, in Sleeman & Brown (eds.), \
Intelligent Tutoring Systems, Academic Press
ask: Expand {a}({inner}).
ask: Write {a}({inner}) without brackets.
ask: Each of {a} bags holds x marbles and {b} stones. Write the number of all objects in the bags without brackets.
ask: A rectangle is {a} cm wide and x + {b} cm long. Write its area in square cm without brackets.
topic: expanding a bracket
place: the second term of the bracket, + {b}
cause: you copied the second term without multiplying it by {a}
sound: the product {a} * x = {a}x
work: {a}({inner}) means {a} times the bracket.
work: {a} * x = {a}x
slip: Then I write down the rest: {wrong}
probe: How many times does the whole bracket {inner} occur in {a}({inner})?
probe: What do {a}({inner}) and {wrong} give when x is 1?
probe: Which terms inside the bracket does the {a} multiply?
hint: {a}({inner}) is the sum of {a} copies of the whole bracket.
hint: A rectangle that is {a} wide can be cut into one part of length x and another of length {b}; both are {a} wide.
hint: Putting a number in for x shows whether two expressions can be equal.
action: write {a} brackets ({inner}) as a sum and collect the terms
action: draw an arrow from {a} to every term in the bracket
action: test {a}({inner}) and {wrong} with x = 1
solution: {a} * x = {a}x and {a} * {b} = {ab}
solution: {a}({inner}) = {answer}
"""

SQUARE_SUM = """
id: square_of_sum
area: algebra
name: The square of a sum taken as the sum of the squares
source: Matz, M. (1982), Towards a process model for high school algebra errors, in Sleeman & Brown (eds.), \
Intelligent Tutoring Systems, Academic Press
ask: Expand ({inner})^2.
ask: Write ({inner})^2 without brackets.
ask: A square has sides of length {inner}. Write its area without brackets.
ask: {name} says that ({inner})^2 can be written without brackets. What is the result?
topic: squaring a sum
place: the step where each term is squared on its own
cause: you squared the two terms one by one instead of the whole bracket
sound: the square {b}^2 = {bb}
work: The square of {t} is {t}^2, and {b}^2 = {bb}
slip: So I square each term: ({inner})^2 = {wrong}
probe: What does it mean to square something, written as a product of two brackets?
probe: What do ({inner})^2 and {wrong} give when {t} is 1?
probe: Into how many pieces is a square with sides {t} + {b} cut by one line across and one line down?
hint: Squaring means multiplying the whole bracket by itself.
hint: Each term of the first bracket meets each term of the second, so there are four products.
hint: A square with sides {t} + {b} holds two rectangles besides the two smaller squares.
action: write ({inner})^2 as ({inner})({inner}) and multiply every pair of terms
action: draw a square with sides {t} + {b} and label its four pieces
action: test both expressions with {t} = 1
solution: ({inner})({inner}) = {t}^2 + {b}{t} + {b}{t} + {bb}
solution: ({inner})^2 = {answer}
"""

CONJOIN = """
id: conjoin_unlike_terms
area: algebra
name: Unlike terms joined into one
source: Booth, L. R. (1984), Algebra: Children's Strategies and Errors, NFER-Nelson
ask: Simplify {a}x + {b} + {c}x.
ask: Write {a}x + {b} + {c}x as short as possible.
ask: A path has {a} pieces of length x, then one of length {b}, then {c} of length x. How long is it? Simplify.
ask: {name} pays for {a} tickets at x dollars, a fee of {b} dollars and {c} more tickets at x dollars. \
Write the whole cost in its simplest form.
topic: collecting like terms
place: the step that joins {b} with the terms in x
cause: you added a plain number to a number of x's
sound: the list of the numbers {a}, {b} and {c}
work: The numbers in it are {a}, {b} and {c}.
slip: They make {a} + {b} + {c} = {sum} of x.
work: So it is {wrong}
probe: Which of the terms count x's, and which one does not?
probe: What do {a}x + {b} + {c}x and {wrong} give when x is 0?
probe: May an answer in algebra still have a plus sign in it?
hint: {b} stands alone; it is not {b} of x.
hint: Only terms with the same letter part can be joined.
hint: An expression with a plus sign in it can be a finished answer.
action: underline the terms that have an x
action: test both expressions with x = 0
action: add up the x's first and leave the plain number where it is
solution: {a}x + {c}x = {ac}x, and {b} has no x.
solution: The result is {answer}
"""

CANCEL = """
id: cancel_single_term
area: algebra
name: A factor cancelled against one term of a sum
source: Matz, M. (1982), Towards a process model for high school algebra errors, in Sleeman & Brown (eds.), \
Intelligent Tutoring Systems, Academic Press
ask: Simplify ({top}) / {a}.
ask: Divide {top} by {a}.
ask: {a} friends share {top} {things} equally. Write how many each of them gets in its simplest form.
ask: Write the fraction with numerator {top} and denominator {a} without a fraction bar.
topic: cancelling in a fraction
place: the step that cancels {a} against {a}x
cause: you divided one term of the numerator by {a} but not the other
sound: the quotient {a}x / {a} = x
work: The numerator is {top} and the denominator is {a}.
work: {a}x / {a} = x, so the {a} is gone.
slip: What is left is {wrong}
probe: Which terms of the numerator are divided by {a}?
probe: What do ({top}) / {a} and {wrong} give when x is 0?
probe: If {a} people share two piles, does each person get a share of one pile or of both?
hint: The fraction bar works like a bracket: the whole numerator is divided.
hint: Only a factor of the whole numerator can be cancelled.
hint: {top} can be written as {a} times a bracket.
action: split the fraction into two fractions with the denominator {a}
action: take the factor {a} out of both terms of the numerator
action: test both expressions with x = 0
solution: {a}x / {a} = x and {b} / {a} = {q}
solution: ({top}) / {a} = {answer}
"""


def expand_first_only(a: int, b: int) -> tuple[int, int]:
    """The faulty expansion of a(x + b): coefficients of ax + b."""
    return (a, b)


def square_each(b: int) -> tuple[int, int, int]:
    """The faulty square of x + b: coefficients of x^2 + b^2."""
    return (1, 0, b * b)


def join_all(a: int, b: int, c: int) -> tuple[int, int]:
    """The faulty sum of ax + b + cx: coefficients of (a + b + c)x."""
    return (a + b + c, 0)


def cancel_first(b: int) -> tuple[int, int]:
    """The faulty quotient (ax + b) / a: coefficients of x + b."""
    return (1, b)


def _distribute(rng: Random) -> Draw:
    a, b = rng.randint(2, 9), rng.randint(2, 12)
    return Draw((a, a * b), expand_first_only(a, b), poly, {"a": a, "b": b, "ab": a * b, "inner": poly((1, b))})


def _square_sum(rng: Random) -> Draw:
    b, t = rng.randint(2, 20), rng.choice("bknpstuvxyz")
    words = {"b": b, "bb": b * b, "t": t, "inner": poly((1, b), t)}
    return Draw((1, 2 * b, b * b), square_each(b), lambda value: poly(value, t), words)


def _conjoin(rng: Random) -> Draw:
    a, b, c = rng.randint(2, 9), rng.randint(2, 12), rng.randint(2, 9)
    words = {"a": a, "b": b, "c": c, "ac": a + c, "sum": a + b + c}
    return Draw((a + c, b), join_all(a, b, c), poly, words)


def _cancel(rng: Random) -> Draw:
    a, q = rng.randint(2, 9), rng.randint(1, 9)
    words = {"a": a, "b": a * q, "q": q, "top": poly((a, a * q))}
    return Draw((1, q), cancel_first(a * q), poly, words)


MISCONCEPTIONS: tuple[Misconception, ...] = (
    misconception(DISTRIBUTE, _distribute),
    misconception(SQUARE_SUM, _square_sum),
    misconception(CONJOIN, _conjoin),
    misconception(CANCEL, _cancel),
    *EQUATIONS,
    *POWERS,
)
