"""Errors in converting units of length, area and time."""

from fractions import Fraction
from random import Random

from edu_align.tutoring.contexts import Draw, hours_minutes, misconception, num
from edu_align.tutoring.types import Misconception

DIRECTION = """
id: unit_wrong_direction
area: measurement
name: Conversion to a larger unit by multiplication
source: Ashlock, R. B. (2010), Error Patterns in Computation, 10th ed., Pearson
ask: Convert {n} {small} to {big}.
ask: {name} measures {n} {small}. How much is that in {big}?
ask: How many {big} are {n} {small}?
ask: A label says {n} {small}, but the form asks for {big}. What should {name} write on the form?
topic: converting {small} to {big}
place: the step {n} * {f}
cause: you multiplied although the new unit is the larger one
sound: the line 1 {big_one} = {f} {small}
work: 1 {big_one} = {f} {small}
slip: So I multiply by {f}: {n} * {f} = {product}
work: {n} {small} = {wrong}
probe: Which is more, one {big_one} or one {small_one}?
probe: For the same amount, do you need more {big} than {small} or fewer?
probe: How many {big} would {f} {small} be?
hint: The larger the unit, the fewer of them you need for the same amount.
hint: Each {f} {small} can be swapped for a single {big_one}.
hint: Think about whether {wrong} could be the same amount as {n} {small}.
action: say first whether the new number must be larger or smaller than {n}
action: find out how many groups of {f} {small} there are in {n} {small}
action: convert {wrong} back to {small} and compare with {n}
solution: {f} {small} make 1 {big_one}, so the number of {big} is {n} / {f}.
solution: {n} / {f} = {answer}
"""

SQUARE = """
id: square_unit_linear
area: measurement
name: Square units converted with the factor for lengths
source: Tan Sisman, G. & Aksu, M. (2016), A study on sixth grade students' misconceptions and errors in spatial \
measurement, Int. J. Sci. Math. Educ. 14, 1293-1319
ask: How many square {small} are {n} square {big}?
ask: Convert {n} square {big} to square {small}.
ask: A surface measures {n} square {big}. {name} needs the area in square {small}. What is it?
ask: A plan lists an area of {n} square {big}. Give the same area in square {small}.
topic: converting square {big} to square {small}
place: the line that swaps each square {big_one} for {f} square {small}
cause: you used the number for lengths although these are areas
sound: the line 1 {big_one} = {f} {small}
work: 1 {big_one} = {f} {small}
slip: So a square {big_one} has {f} square {small}.
work: {n} * {f} = {wrong}
probe: If a square is 1 {big_one} long and 1 {big_one} wide, how many {small} is each side?
probe: How many rows of small squares fit into a square {big_one}, and how many squares are in a row?
probe: Does an area depend on one length or on two?
hint: A square {big_one} is {f} {small} long and also {f} {small} wide.
hint: A row of {f} small squares fills only a thin strip of a square {big_one}.
hint: For an area, both the length and the width have to be converted.
action: sketch a square {big_one} and label both sides in {small}
action: count the small squares in one row and then the rows
action: find the area of one square {big_one} in square {small} from its two sides
solution: A square {big_one} has {f} * {f} = {ff} square {small}.
solution: {n} * {ff} = {answer}
"""

DECIMAL_HOURS = """
id: decimal_hours_as_minutes
area: measurement
name: Decimal part of an hour read as minutes
source: Ashlock, R. B. (2010), Error Patterns in Computation, 10th ed., Pearson
ask: Write {h} hours in hours and minutes.
ask: A trip takes {h} hours. How long is that in hours and minutes?
ask: {name} worked on a model for {h} hours. Give this time in hours and minutes.
ask: A machine ran for {h} hours. {friend} notes the time in hours and minutes. What should the note say?
topic: a time written as a decimal number of hours
place: the line where {tail} of an hour turns into {fake} minutes
cause: you read the hundredths of an hour as minutes
sound: the {whole} whole hours
work: There are {whole} whole hours and {tail} of an hour.
slip: {tail} of an hour is {fake} minutes.
work: Together that is {wrong}
probe: How many minutes are in one whole hour?
probe: How many minutes would half an hour be, and how would you write half an hour as a decimal?
probe: Into how many parts does the decimal point split an hour, and into how many do minutes split it?
hint: An hour has 60 minutes, not 100.
hint: {tail} of an hour is that part of 60 minutes.
hint: The digits after the point count hundredths of an hour, and a hundredth of an hour is no minute.
action: write {tail} of an hour as a fraction of an hour
action: take that fraction of 60 minutes
action: check with 0.5 hours, which is half an hour
solution: {tail} * 60 = {minutes}, so {tail} of an hour is {minutes} minutes.
solution: {h} hours = {answer}
"""

ELAPSED = """
id: elapsed_borrow_100
area: measurement
name: An hour traded for 100 minutes
source: Kamii, C. & Russell, K. A. (2012), Elapsed time: Why is it so difficult to teach?, \
J. Res. Math. Educ. 43(3), 296-315
ask: A film starts at {start} and ends at {end}. How long does it last?
ask: {name} leaves at {start} and arrives at {end}. How long does the trip take?
ask: How much time passes from {start} to {end} on the same day?
ask: A class begins at {start} and is over at {end}. How many hours and minutes does it last?
topic: finding how much time has passed
place: the trade of one hour for 100 minutes
cause: you traded as you do with hundreds, although an hour has fewer minutes than that
sound: the line that says why you need a trade
work: I subtract {start} from {end}. {m2} minutes are fewer than {m1} minutes, so I need a trade.
slip: I take one hour away and get {traded} minutes.
work: Minutes: {traded} - {m1} = {left}, hours: {less} - {h1} = {hours}
work: That is {wrong}
probe: How many minutes do you get when you trade one hour?
probe: How many minutes are there from {start} to the next full hour?
probe: Can a time have more than 59 minutes next to its hours?
hint: Hours and minutes trade in sixties, not in hundreds.
hint: A time line with a stop at each full hour needs no trade at all.
hint: After the trade there should be 60 more minutes than the {m2} that you started with.
action: jump on a time line from {start} to the next full hour
action: do the trade again with the minutes of one hour
action: add your result to {start} and see whether you reach {end}
solution: Trade one hour for 60 minutes: {m2} + 60 = {fair} minutes.
solution: Minutes: {fair} - {m1} = {minutes}, hours: {less} - {h1} = {hours}
solution: That is {answer}
"""

# (small unit, large unit, one of the large unit, how many of the small unit make one of the large)
LENGTHS = (
    ("millimetres", "centimetres", "centimetre", 10),
    ("centimetres", "metres", "metre", 100),
    ("metres", "kilometres", "kilometre", 1000),
)
AMOUNTS = (("grams", "kilograms", "kilogram", 1000), ("millilitres", "litres", "litre", 1000))


def multiply_always(n: int, factor: int) -> int:
    """The faulty step: converting to a larger unit by multiplying by the factor."""
    return n * factor


def linear_factor(n: int, factor: int) -> int:
    """The faulty step: an area is converted with the factor that belongs to lengths."""
    return n * factor


def hundredths_as_minutes(hours: Fraction) -> int:
    """The faulty reading: 2.25 hours are 2 h 25 min. The result is in minutes."""
    whole = hours.numerator // hours.denominator
    return whole * 60 + int((hours - whole) * 100)


def subtract_base_100(start: int, end: int) -> tuple[int, int]:
    """The faulty subtraction of clock times in minutes after midnight: one hour is traded for 100 minutes.

    Returns the hours and the minutes that the student writes; the minutes may exceed 59.
    """
    hours, minutes = end // 60 - start // 60, end % 60 - start % 60
    return (hours - 1, minutes + 100) if minutes < 0 else (hours, minutes)


def _direction(rng: Random) -> Draw:
    small, big, one, f = rng.choice(LENGTHS + AMOUNTS)
    n = rng.randint(2, 95) * f // 10 if rng.random() < 0.5 else rng.randint(2, 40) * f
    words = {"n": n, "small": small, "small_one": small[:-1], "big": big, "big_one": one, "f": f, "product": n * f}
    return Draw(Fraction(n, f), Fraction(multiply_always(n, f)), lambda value: f"{num(value)} {big}", words)


def _square(rng: Random) -> Draw:
    small, big, one, f = rng.choice(LENGTHS)
    n = rng.randint(2, 30)
    words = {"n": n, "small": small, "big": big, "big_one": one, "f": f, "ff": f * f}
    return Draw(n * f * f, linear_factor(n, f), num, words)


def _decimal_hours(rng: Random) -> Draw:
    whole, tail = rng.randint(2, 9), Fraction(rng.choice((5, 15, 25, 35, 45, 55)), 100)
    words = {"h": whole + tail, "whole": whole, "tail": tail, "fake": int(tail * 100), "minutes": tail * 60}
    return Draw(int((whole + tail) * 60), hundredths_as_minutes(whole + tail), hours_minutes, words)


def _elapsed(rng: Random) -> Draw:
    h1, m1, m2, hours = rng.randint(7, 16), rng.randrange(20, 60, 5), rng.randrange(5, 50, 5), rng.randint(1, 5)
    m2 = min(m2, m1 - 5)
    start, end = h1 * 60 + m1, (h1 + hours + 1) * 60 + m2
    wrong_hours, left = subtract_base_100(start, end)
    words = {"start": f"{h1}:{m1:02d}", "end": f"{h1 + hours + 1}:{m2:02d}", "m1": m1, "m2": m2, "h1": h1}
    words |= {"traded": m2 + 100, "left": left, "less": h1 + hours, "hours": hours}
    words |= {"fair": m2 + 60, "minutes": m2 + 60 - m1}
    right = (hours, m2 + 60 - m1)
    return Draw(right, (wrong_hours, left), lambda value: f"{value[0]} h {value[1]} min", words)


MISCONCEPTIONS: tuple[Misconception, ...] = (
    misconception(DIRECTION, _direction),
    misconception(SQUARE, _square),
    misconception(DECIMAL_HOURS, _decimal_hours),
    misconception(ELAPSED, _elapsed),
)
