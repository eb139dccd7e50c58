"""Percent errors, and those on ratio from `ratio.py`."""

from fractions import Fraction
from random import Random

from edu_align.tutoring.contexts import Draw, misconception, money, num
from edu_align.tutoring.misconceptions.ratio import RATIO

REVERSE_BASE = """
id: percent_reverse_base
area: ratio and percent
name: Percent taken from the new amount instead of the original
source: Parker, M. & Leinhardt, G. (1995), Percent: A privileged proportion, Rev. Educ. Research 65(4), 421-481
ask: In a sale everything is {p}% off. {name} pays {final} for a {good}. What was the price before the sale?
ask: After a {p}% discount a {good} costs {final}. Find its original price.
ask: A shop takes {p}% off the price of a {good} and then sells it for {final}. How much did it cost at first?
ask: A price is reduced by {p}% to {final}. What was the price before the reduction?
topic: finding a price before a discount
place: the line where the discount is worked out as {part}
cause: you took {p}% of the reduced price instead of the original price
sound: the idea that the discount has to be added back
work: The price went down, so I have to add the discount back.
slip: The discount was {p}% of {final}, which is {part}.
work: {final} + {part} = {wrong}
probe: Which price is the {p}% taken from, the one before the discount or the one after it?
probe: If you take {p}% off {wrong}, do you land on {final}?
probe: What percent of the original price is still left once {p}% has been taken off?
hint: The shop worked out the {p}% from the price before the discount, not from {final}.
hint: {final} is what remains of the original price, so it stands for less than 100% of it.
hint: You can test any price: take {p}% off it and see whether {final} remains.
action: take {p}% off {wrong} and compare the result with {final}
action: write down what percent of the original price {final} stands for
action: find 1% of the original price and build the whole price from it
solution: {final} is 100% - {p}% = {left}% of the original price.
solution: {final} / {left} * 100 = {answer}
"""

ADDED = """
id: percents_added
area: ratio and percent
name: Successive percent changes added
source: Parker, M. & Leinhardt, G. (1995), Percent: A privileged proportion, Rev. Educ. Research 65(4), 421-481
ask: A museum had {start} visitors. The number rose by {p}% in one year and by {q}% in the next. How many came then?
ask: Increase {start} by {p}%, then increase the result by {q}%. What do you get?
ask: A town of {start} people grows by {p}% and after that by another {q}%. How many people live there now?
ask: {name} had {start} followers. They grew by {p}% in May and by a further {q}% in June. How many were there then?
topic: two percent increases, one after the other
place: the step {p}% + {q}% = {sum}%
cause: you added two percents that are taken of different amounts
sound: the way you worked out {sum}% of {start}
work: There are two increases, {p}% and {q}%.
slip: Together that is one increase of {p}% + {q}% = {sum}%.
work: {sum}% of {start} is {part}.
work: {start} + {part} = {wrong}
probe: How large is the amount just before the second increase starts?
probe: Of which amount is the {p}% taken, and of which amount is the {q}% taken?
probe: Would {q}% of {start} and {q}% of a larger amount be the same?
hint: The second increase works on the amount after the first one, and that amount is no longer {start}.
hint: Percents can be added only when they are percents of the same amount.
hint: The increase of {q}% also applies to what the first increase brought in.
action: work out the amount after the {p}% increase alone
action: write next to each percent the amount that it is a percent of
action: compare {q}% of {start} with {q}% of the amount after the first increase
solution: After the first increase: {start} * {f} = {mid}
solution: After the second increase: {mid} * {g} = {answer}
"""

UNDONE = """
id: percent_undone
area: ratio and percent
name: A percent increase thought to be undone by the same percent decrease
source: Parker, M. & Leinhardt, G. (1995), Percent: A privileged proportion, Rev. Educ. Research 65(4), 421-481
ask: A number starts at {start}, {first} by {p}% and then {second} by {p}%. What is it now?
ask: The {good} that {name} wants costs {start} dollars. Its price {first} by {p}% and later {second} by {p}%. \
How many dollars does it cost now?
ask: A village has {start} people. The number {first} by {p}% in one year and {second} by {p}% in the next. \
How many people are there after both years?
ask: A stock of {start} {things} {first} by {p}% and after that {second} by {p}%. How many {things} are there then?
topic: a percent change followed by the opposite percent change
place: the line where the two changes of {p}% cancel out
cause: you treated {p}% of two different amounts as if they were equal
sound: the order of the two changes
work: First it {first} by {p}%, after that it {second} by {p}%.
slip: The two changes of {p}% cancel out, so the total change is 0%.
work: So it is the same as before: {wrong}
probe: How large is the amount after the first change?
probe: Of which amount do you take {p}% the second time?
probe: Is {p}% of {start} the same as {p}% of the amount after the first change?
hint: The second change is {p}% of the new amount, not of {start}.
hint: Equal percents of unequal amounts are unequal changes.
hint: Each change can be written as a multiplication, and these two factors do not give 100% together.
action: work out the first change on {start} alone
action: take {p}% of the amount that you have after the first change
action: compare how much is gained with how much is lost
solution: After the first change: {start} * {f} = {mid}
solution: After the second change: {mid} * {g} = {answer}
"""

SHIFT = """
id: percent_point_shift
area: ratio and percent
name: A one-digit percent written as tenths
source: Parker, M. & Leinhardt, G. (1995), Percent: A privileged proportion, Rev. Educ. Research 65(4), 421-481
ask: What is {p}% of {n}?
ask: {p}% of the {n} students of a school walk there. How many students walk?
ask: {name} has counted {n} {things}. {p}% of them are red. How many are red?
ask: A factory packs {n} {things} and {p}% of them have a fault. How many have a fault?
topic: writing a percent as a decimal
place: the line {p}% = 0.{p}
cause: you wrote {p} hundredths as {p} tenths
sound: the choice to multiply the decimal by {n}
work: I write the percent as a decimal and multiply it by {n}.
slip: {p}% = 0.{p}
work: 0.{p} * {n} = {wrong}
probe: How would you read 0.{p} aloud, in tenths or in hundredths?
probe: How would you write 10% as a decimal, and is {p}% larger or smaller than that?
probe: Is {wrong} more or less than a tenth of {n}, and should {p}% be more or less than that?
hint: Percent means hundredths, and the first place after the point stands for tenths.
hint: {p}% is less than 10%, so it must be less than a tenth of {n}.
hint: The decimal 0.{p} is the same as {p}0%.
action: write {p}% as a fraction with the denominator 100 before you turn it into a decimal
action: find 10% of {n} and use it to judge {wrong}
action: put {p} into the hundredths place of a place value chart
solution: {p}% = {p} / 100 = {decimal}
solution: {decimal} * {n} = {answer}
"""


def add_discount_back(final: Fraction, p: int) -> Fraction:
    """The faulty step: `p` percent of the reduced price are added to it."""
    return final + final * p / 100


def add_percents(start: int, p: int, q: int) -> Fraction:
    """The faulty step: the changes of `p` and `q` percent are added and taken of the start."""
    return start + Fraction(start * (p + q), 100)


def tenths_for_percent(p: int, n: int) -> Fraction:
    """The faulty step: a one-digit `p` percent is written as 0.p."""
    return Fraction(p, 10) * n


def _reverse_base(rng: Random) -> Draw:
    original, p = rng.randrange(40, 401, 20), rng.choice((5, 10, 15, 20, 25, 30, 35, 40))
    final = Fraction(original * (100 - p), 100)
    words = {"p": p, "final": money(final), "part": money(final * p / 100), "left": 100 - p}
    return Draw(Fraction(original), add_discount_back(final, p), money, words)


def _factors(start: int, p: int, q: int) -> Draw:
    f, g = Fraction(100 + p, 100), Fraction(100 + q, 100)
    words = {"start": start, "p": abs(p), "q": abs(q), "sum": p + q, "f": f, "g": g, "mid": start * f}
    part = Fraction(start * (p + q), 100)
    return Draw(start * f * g, add_percents(start, p, q), num, {**words, "part": part})


def _added(rng: Random) -> Draw:
    return _factors(rng.randrange(200, 3001, 100), rng.randrange(10, 60, 10), rng.randrange(10, 60, 10))


def _undone(rng: Random) -> Draw:
    p, verbs = rng.choice(((1, ("rises", "falls")), (-1, ("falls", "rises"))))
    size = rng.randrange(10, 60, 10)
    draw = _factors(rng.randrange(200, 3001, 100), p * size, -p * size)
    return Draw(draw.right, draw.wrong, num, {**draw.words, "first": verbs[0], "second": verbs[1]})


def _shift(rng: Random) -> Draw:
    p, n = rng.randint(2, 9), rng.randrange(200, 3001, 100)
    return Draw(Fraction(p * n, 100), tenths_for_percent(p, n), num, {"p": p, "n": n, "decimal": Fraction(p, 100)})


MISCONCEPTIONS = (
    misconception(REVERSE_BASE, _reverse_base),
    misconception(ADDED, _added),
    misconception(UNDONE, _undone),
    misconception(SHIFT, _shift),
    *RATIO,
)
