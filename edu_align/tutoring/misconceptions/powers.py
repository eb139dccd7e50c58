"""Errors with powers and with a minus sign before a bracket; `algebra.py` lists them."""

from fractions import Fraction
from random import Random

from edu_align.tutoring.contexts import Draw, frac, misconception, num, poly

EXPONENTS = """
id: exponents_multiplied
area: algebra
name: Exponents multiplied when powers of one base are multiplied
source: Pitta-Pantazi, D., Christou, C. & Zachariades, T. (2007), Secondary school students' levels of understanding \
in computing exponents, J. Math. Behavior 26, 301-311
ask: Write {t}^{m} * {t}^{n} as a single power.
ask: Simplify {t}^{m} * {t}^{n}.
ask: {name} multiplies {t}^{m} by {t}^{n}. Write the product with one exponent.
ask: One side of a rectangle is {t}^{m} and the other is {t}^{n}. Write its area as one power.
topic: multiplying powers of the same base
place: the step {m} * {n} = {mn}
cause: you multiplied the two exponents
sound: keeping the base {t}
work: Both powers have the base {t}, so the base stays.
slip: It is a product, so I multiply the exponents: {m} * {n} = {mn}
work: {t}^{m} * {t}^{n} = {wrong}
probe: How many factors {t} are there in {t}^{m}, and how many in {t}^{n}?
probe: What does {t}^{m} look like when you write out all its factors?
probe: How many factors {t} stand in the whole product?
hint: An exponent counts how often the base is used as a factor.
hint: Writing the powers out as long products lets you count the factors.
hint: Putting the two products side by side makes one longer row of factors.
action: write out {t}^{m} and {t}^{n} as products without exponents
action: count all the factors {t} in the long product
action: test the rule on 10 * 100, which is a product of two powers of ten
solution: {t}^{m} has {m} factors and {t}^{n} has {n}, together {m} + {n} = {sum}.
solution: {t}^{m} * {t}^{n} = {answer}
"""

ZERO = """
id: zero_exponent_is_zero
area: algebra
name: A power with exponent 0 taken as 0
source: Cangelosi, R. et al. (2013), The negative sign and exponential expressions: Unveiling students' persistent \
errors and misconceptions, J. Math. Behavior 32, 69-82
ask: Work out {a}^0 + {b}.
ask: What is the value of {a}^0 + {b}?
ask: {name} wants to find {b} + {a}^0. What is the result?
ask: Calculate t^0 + {b} for t = {a}.
topic: powers with the exponent zero
place: the value of {a}^0
cause: you took the exponent 0 as a multiplication by 0
sound: the last step, where you add {b}
work: The exponent of {a} is 0.
slip: So {a}^0 = 0
work: 0 + {b} = {wrong}
probe: What happens to the value each time the exponent goes down by one, from {a}^3 to {a}^2 and on?
probe: What do you get when you divide {a}^2 by {a}^2, and which exponent should the result have?
probe: Does an exponent tell you to multiply by that exponent?
hint: Each step down in the exponent divides the value by {a}.
hint: A number divided by itself is never zero.
hint: The row {a}^3, {a}^2, {a}^1 goes on with the same kind of step.
action: list {a}^3, {a}^2 and {a}^1 and look at how each value comes from the one before
action: divide {a}^1 by {a}
action: write {a}^2 / {a}^2 as one power and work out its value
solution: {a}^0 = {a} / {a} = 1
solution: 1 + {b} = {answer}
"""

NEGATIVE = """
id: negative_exponent_is_negative
area: algebra
name: A negative exponent read as a negative number
source: Cangelosi, R. et al. (2013), The negative sign and exponential expressions: Unveiling students' persistent \
errors and misconceptions, J. Math. Behavior 32, 69-82
ask: Write {a}^-{n} as a number.
ask: What is the value of {a}^-{n}?
ask: Calculate t^-{n} for t = {a}.
ask: {name} reads {a}^-{n} on a worksheet. Which number is that?
topic: powers with a negative exponent
place: the sign of {a}^-{n}
cause: you moved the minus sign of the exponent in front of the number
sound: the value of {a}^{n}
work: {a}^{n} = {size}
slip: The exponent has a minus sign, so the result is negative.
work: {a}^-{n} = {wrong}
probe: How does the value change each time the exponent goes down by one?
probe: If you start at {a}^1 and divide by {a} again and again, do you ever get below zero?
probe: What should {a}^{n} * {a}^-{n} be if the exponents are added?
hint: A step down in the exponent is a division by {a}, and this goes on below the exponent 0.
hint: Dividing a positive number by a positive number never gives a negative one.
hint: The minus sign in the exponent tells you to divide instead of to multiply.
action: continue the row {a}^2, {a}^1, {a}^0 by dividing by {a}
action: write the number that gives 1 when it is multiplied by {a}^{n}
action: decide first whether the value should be larger than 1, or between 0 and 1
solution: {a}^-{n} = 1 / {a}^{n}
solution: {a}^{n} = {size}, so the value is {answer}
"""

MINUS = """
id: minus_before_bracket
area: algebra
name: A minus sign before a bracket changes the first term only
source: Vlassis, J. (2004), Making sense of the minus sign or becoming flexible in 'negativity', Learning and \
Instruction 14(5), 469-484
ask: Simplify {p}x - ({bracket}).
ask: Write {p}x - ({bracket}) without brackets and collect the terms.
ask: A rod is {p}x cm long. A piece of {bracket} cm is cut off. How many cm are left? Simplify.
ask: {name} has {p}x dollars and pays {bracket} dollars for a {good}. How many dollars are left? Simplify.
topic: subtracting a bracket
place: the sign of {r} after the bracket is removed
cause: you took away the {q}x but did not reverse the sign of the other term
sound: the step {p}x - {q}x = {d}x
work: I have to take ({bracket}) away from {p}x.
slip: Without the bracket this is {p}x - {q}x - {r}.
work: {p}x - {q}x = {d}x, which leaves {wrong}
probe: Is {bracket} more or less than {q}x, and what does that do when you take it away?
probe: What do {p}x - ({bracket}) and {wrong} give when x is {t}?
probe: What happens to each term in a bracket when the whole bracket is subtracted?
hint: The minus sign belongs to the whole bracket, not just to its first term.
hint: Whoever takes away {q}x has taken away too much, because only {bracket} should go.
hint: Taking away less leaves more.
action: write the minus sign as a factor -1 in front of the bracket and multiply every term
action: test both expressions with x = {t}
action: take away {q}x first and then put right what was taken too much
solution: {p}x - ({bracket}) = {p}x - {q}x + {r}
solution: The result is {answer}
"""


def multiply_exponents(m: int, n: int) -> int:
    """The faulty step: the exponent of the product of two powers is the product of their exponents."""
    return m * n


def zero_power(base: int) -> int:
    """The faulty value of base^0: the base times its exponent."""
    return base * 0


def negative_power(base: int, n: int) -> Fraction:
    """The faulty value of base^-n: the minus sign is moved in front."""
    return -Fraction(base**n)


def subtract_first_term(p: int, q: int, r: int) -> tuple[int, int]:
    """The faulty value of px - (qx - r): coefficients of px - qx - r."""
    return (p - q, -r)


def _exponents(rng: Random) -> Draw:
    m, n, t = rng.randint(2, 9), rng.randint(2, 9), rng.choice("bkmnptxyz")
    words = {"m": m, "n": n, "t": t, "mn": m * n, "sum": m + n}
    return Draw(m + n, multiply_exponents(m, n), lambda power: f"{t}^{power}", words)


def _zero(rng: Random) -> Draw:
    a, b = rng.randint(2, 12), rng.randint(2, 30)
    return Draw(1 + b, zero_power(a) + b, num, {"a": a, "b": b})


def _negative(rng: Random) -> Draw:
    a, n = rng.randint(2, 12), rng.randint(2, 4)
    return Draw(Fraction(1, a**n), negative_power(a, n), frac, {"a": a, "n": n, "size": a**n})


def _minus(rng: Random) -> Draw:
    q, r = rng.randint(2, 9), rng.randint(1, 15)
    p = q + rng.randint(1, 8)
    words = {"p": p, "q": q, "r": r, "d": poly((p - q, 0)).removesuffix("x"), "bracket": poly((q, -r)), "t": r + 1}
    return Draw((p - q, r), subtract_first_term(p, q, r), poly, words)


POWERS = (
    misconception(EXPONENTS, _exponents),
    misconception(ZERO, _zero),
    misconception(NEGATIVE, _negative),
    misconception(MINUS, _minus),
)
