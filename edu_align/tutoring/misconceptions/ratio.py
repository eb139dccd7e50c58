"""Errors in ratio and proportion; `percent_ratio.py` lists them."""

from fractions import Fraction
from math import gcd
from random import Random

from edu_align.tutoring.contexts import Draw, misconception, num

ADDITIVE = """
id: ratio_additive
area: ratio and percent
name: Additive instead of multiplicative comparison in a proportion
source: Tourniaire, F. & Pulos, S. (1985), Proportional reasoning: A review of the literature, \
Educ. Stud. Math. 16, 181-204
ask: {name} mixes {a} {first} with {b} {second}. For the same mixture, how many {second} go with {c} {first}?
ask: A recipe has {a} {first} for {b} {second}. How many {second} do you need for {c} {first}?
ask: The ratio of {first} to {second} is {a}:{b}. There are {c} {first}. How many {second} are there?
ask: {a} {first} go with {b} {second}. {friend} has {c} {first} and wants the same mixture. How many {second} is that?
topic: keeping a mixture in the same ratio
place: the step where you add {d}
cause: you added the same amount to both parts instead of multiplying both by the same number
sound: the comparison of {a} {first} with {c} {first}
work: From {a} to {c} {first} it is {c} - {a} = {d} more.
slip: So it must be {d} more {second} as well.
work: {b} + {d} = {wrong}
probe: How many {second} belong to each set of {a} {first}?
probe: How many sets of {a} {first} fit into {c} {first}?
probe: If you make the whole mixture twice, what happens to the {first} and to the {second}?
hint: In the same mixture, both parts are multiplied by the same number.
hint: Adding the same amount to both parts changes the ratio {a}:{b}.
hint: Think of {a} {first} with {b} {second} as one batch, and of the new mixture as several batches.
action: draw one batch with its {a} {first} and {b} {second} and repeat it
action: find the number that {a} is multiplied by to get {c}
action: make a table of batches with a row for the {first} and a row for the {second}
solution: {c} / {a} = {m}, so there are {m} batches.
solution: {b} * {m} = {answer}
"""

PART_WHOLE = """
id: ratio_part_as_whole
area: ratio and percent
name: A part-to-part ratio read as a fraction of the whole
source: Lamon, S. J. (2012), Teaching Fractions and Ratios for Understanding, 3rd ed., Routledge
ask: A box holds {n} {things}, red ones and blue ones in the ratio {a}:{b}. How many are red?
ask: {name} and {friend} share {n} {things} in the ratio {a}:{b}. How many does {name} get?
ask: Divide {n} in the ratio {a}:{b}. How large is the smaller part?
ask: A choir has {n} singers. The ratio of altos to sopranos is {a}:{b}. How many altos sing in it?
topic: sharing a total in a given ratio
place: the fraction {a}/{b}
cause: you compared the first part with the second part instead of with the whole
sound: the calculation of {a}/{b} of {n}
work: The total is {n} and the ratio is {a}:{b}.
slip: The first part is {a}/{b} of the total.
work: {n} / {b} * {a} = {wrong}
probe: Into how many equal shares is the whole divided?
probe: If the first part is {wrong}, how large is the second part, and is their ratio {a}:{b}?
probe: What does the {b} in {a}:{b} count, a part or the whole?
hint: The ratio {a}:{b} compares one part with the other part; neither number is the whole.
hint: The whole is made of the shares of both parts together.
hint: A fraction of the total needs the number of all shares as its denominator.
action: draw {a} boxes and {b} boxes side by side and count them all
action: find how much one share is worth
action: check whether the two parts add up to {n} and are in the ratio {a}:{b}
solution: {a} + {b} = {shares} shares, and {n} / {shares} = {one}
solution: {one} * {a} = {answer}
"""

INVERSE = """
id: inverse_as_direct
area: ratio and percent
name: Inverse proportion treated as direct proportion
source: De Bock, D., Van Dooren, W. & Verschaffel, L. (2015), Students' understanding of proportional, inverse \
proportional, and affine functions, Int. J. Sci. Math. Educ. 13, 47-69
ask: {w} painters need {t} hours for a fence. How many hours do {v} painters need at the same pace?
ask: {w} pumps empty a pool in {t} hours. How many hours do {v} such pumps take?
ask: {w} printers finish a job in {t} hours. How many hours would {v} of these printers need for the same job?
ask: {name} and some friends, {w} people in all, need {t} hours to pick the apples of an orchard. How many hours would \
{v} people need?
topic: sharing the same work among more helpers
place: the line where the time grows {m} times as long
cause: you multiplied the time by the same number as the helpers
sound: the comparison of {w} with {v}
work: {v} / {w} = {m}, so there are {m} times as many.
slip: So the time is also {m} times as long.
work: {t} * {m} = {wrong}
probe: Does the same job take more time or less time when more take part?
probe: How much work does each one have to do when there are {m} times as many?
probe: How many hours would a single one need for the whole job?
hint: The job stays the same, so more helpers need less time.
hint: Here the number of helpers times the number of hours stays the same.
hint: When one quantity is multiplied by a number, the other is not always multiplied by it too.
action: work out how many hours the job takes one alone
action: decide first whether the new time must be longer or shorter than {t} hours
action: make a table of helpers and hours in which the amount of work stays the same
solution: {w} * {t} = {total} hours for one alone
solution: {total} / {v} = {answer}
"""

AFFINE = """
id: affine_as_proportional
area: ratio and percent
name: A relation with a fixed start value treated as proportional
source: Van Dooren, W. et al. (2005), Not everything is proportional, Cognition and Instruction 23(1), 57-86
ask: A taxi ride of {a} km costs ${cost}. Of this, ${fixed} is a fixed charge and the rest is a price per km. \
How many dollars does a ride of {b} km cost?
ask: {name} hires a bicycle for {a} hours and pays ${cost}: ${fixed} once, and the rest by the hour. \
How many dollars would {b} hours cost?
ask: A plumber asks ${cost} for a job of {a} hours. This includes ${fixed} for the journey; the rest is paid by the \
hour. How many dollars would a job of {b} hours cost?
ask: A club charges ${fixed} to join and a price for each visit. With {a} visits, {name} paid ${cost} in all. \
How many dollars would {b} visits have cost in all?
topic: a cost with a fixed part
place: the line where the whole ${cost} is multiplied by {m}
cause: you multiplied the fixed part of ${fixed} as well
sound: the step {b} / {a} = {m}
work: {b} / {a} = {m}, so it is {m} times as much.
slip: Then the cost is {m} times as much, too.
work: {cost} * {m} = {wrong} dollars
probe: Which part of the ${cost} is paid only once?
probe: How much of the ${cost} belongs to the {a} that were used?
probe: Does the fixed part of ${fixed} change when {a} becomes {b}?
hint: Only a part of the cost grows; the ${fixed} stay as they are.
hint: Doubling the use does not double a cost that has a fixed part.
hint: Split the cost into a fixed part and a part that grows, and scale only the part that grows.
action: take the fixed part off ${cost} first
action: find the price for one unit without the fixed part
action: write the cost as a fixed part plus a growing part
solution: {cost} - {fixed} = {rest} is the part that grows.
solution: {rest} * {m} = {grown}
solution: {grown} + {fixed} = {answer}
"""


def add_the_difference(a: int, b: int, c: int) -> int:
    """The faulty step: from a:b to c:? by adding c - a to b."""
    return b + (c - a)


def part_over_part(a: int, b: int, total: int) -> Fraction:
    """The faulty step: a/b of the total is taken as the first part of a:b."""
    return Fraction(a, b) * total


def scale_along(value: int, factor: int) -> int:
    """The faulty step: the second quantity is multiplied by the factor of the first one."""
    return value * factor


def _additive(rng: Random) -> Draw:
    mixtures = (
        ("cups of rice", "cups of water"),
        ("spoons of syrup", "spoons of water"),
        ("litres of blue paint", "litres of white paint"),
        ("shovels of cement", "shovels of sand"),
    )
    first, second = rng.choice(mixtures)
    a, b, m = rng.randint(2, 7), rng.randint(2, 11), rng.randint(2, 5)
    words = {"a": a, "b": b, "c": a * m, "d": a * m - a, "m": m, "first": first, "second": second}
    return Draw(b * m, add_the_difference(a, b, a * m), num, words)


def _part_whole(rng: Random) -> Draw:
    a, b = rng.choice([(a, b) for a in range(2, 8) for b in range(a + 1, 10) if gcd(a, b) == 1])
    one = b * rng.randint(1, 4)
    words = {"a": a, "b": b, "n": one * (a + b), "shares": a + b, "one": one}
    return Draw(one * a, part_over_part(a, b, one * (a + b)), num, words)


def _inverse(rng: Random) -> Draw:
    m, w, each = rng.randint(2, 4), rng.randint(3, 6), rng.randint(2, 9)
    words = {"w": w, "v": w * m, "t": each * m, "m": m, "total": w * each * m}
    return Draw(each, scale_along(each * m, m), lambda hours: f"{hours} hours", words)


def _affine(rng: Random) -> Draw:
    m, a, price, fixed = rng.randint(2, 4), rng.randint(2, 6), rng.randint(3, 12), rng.randint(2, 9)
    rest = a * price
    words = {"m": m, "a": a, "b": a * m, "fixed": fixed, "cost": rest + fixed, "rest": rest, "grown": rest * m}
    return Draw(rest * m + fixed, scale_along(rest + fixed, m), num, words)


RATIO = (
    misconception(ADDITIVE, _additive),
    misconception(PART_WHOLE, _part_whole),
    misconception(INVERSE, _inverse),
    misconception(AFFINE, _affine),
)
