"""Errors with lengths, areas and angles of plane figures."""

from math import isqrt
from random import Random

from edu_align.tutoring.contexts import Draw, misconception
from edu_align.tutoring.types import Misconception

PERIMETER = """
id: perimeter_for_area
area: geometry
name: Perimeter worked out where the area is asked for
source: Tan Sisman, G. & Aksu, M. (2016), A study on sixth grade students' misconceptions and errors in spatial \
measurement, Int. J. Sci. Math. Educ. 14, 1293-1319
ask: A rectangle is {a} {unit} long and {b} {unit} wide. What is its area?
ask: {name} wants to cover a rectangular table of {a} {unit} by {b} {unit}. How large is the surface to be covered?
ask: How large is the floor of a rectangular model room that is {a} {unit} long and {b} {unit} wide?
ask: A rectangular sheet measures {a} {unit} by {b} {unit}. Find the area of the sheet.
topic: the area of a rectangle
place: the step where you add all four sides
cause: you went round the edge instead of covering the inside
sound: the lengths of the four sides
work: The sides are {a}, {b}, {a} and {b}.
slip: I add the sides to get the area: {a} + {b} + {a} + {b} = {sum}
work: The area is {wrong}
probe: Which question asks for the edge, and which one for the surface inside it?
probe: How many squares with sides of 1 {unit} fit in one row along the length?
probe: How many such rows are needed to cover the whole rectangle?
hint: The sum of the sides tells how long a string round the rectangle is.
hint: An area counts the unit squares that cover the inside.
hint: The unit squares lie in rows that are all equally long.
action: sketch the rectangle and draw unit squares along one side
action: count the squares in a row and then the rows
action: shade what the question asks for, the edge or the inside
solution: There are {b} rows of {a} unit squares.
solution: {a} * {b} = {answer}
"""

TRIANGLE = """
id: triangle_area_without_half
area: geometry
name: Area of a triangle as base times height
source: Hart, K. (ed.) (1981), Children's Understanding of Mathematics: 11-16, John Murray, chapter on measurement
ask: A triangle has a base of {a} {unit} and a height of {b} {unit}. What is its area?
ask: {name} cuts a triangular flag with a base of {a} {unit} and a height of {b} {unit}. Find its area.
ask: Find the area of a right-angled triangle whose two shorter sides are {a} {unit} and {b} {unit} long.
ask: A triangular sail is {b} {unit} high above a base of {a} {unit}. How large is the sail?
topic: the area of a triangle
place: the line that gives the product as the area
cause: you worked out the rectangle around the triangle and stopped there
sound: the product {a} * {b} = {product}
work: I multiply base and height: {a} * {b} = {product}
slip: The triangle covers all of that.
work: The area is {wrong}
probe: Which figure has the area {a} * {b}?
probe: How does the triangle compare with the rectangle that has the same base and height?
probe: How many triangles like this one do you need to cover that rectangle?
hint: Base times height is the area of a whole rectangle or parallelogram.
hint: Two equal triangles can be put together to form a parallelogram.
hint: The triangle leaves a part of the rectangle around it empty.
action: draw the rectangle with sides {a} and {b} around the triangle
action: make a copy of the triangle, turn it and fit both together
action: write down the whole area formula of a triangle and compare it with your step
solution: The rectangle has the area {a} * {b} = {product}, and the triangle is half of it.
solution: {product} / 2 = {answer}
"""

LINEARITY = """
id: area_scaled_like_length
area: geometry
name: Area thought to grow by the same factor as the sides
source: De Bock, D., Van Dooren, W., Janssens, D. & Verschaffel, L. (2002), Improper use of linear reasoning, \
Educ. Stud. Math. 50, 311-334
ask: A shape has an area of {s} {unit}. All its lengths are made {k} times as long. What is the new area?
ask: {name} needs {s} {unit} of paper for a poster. How much paper does a poster of the same shape take that \
is {k} times as long and {k} times as wide?
ask: A square garden covers {s} {unit}. Another square garden has sides {k} times as long. What area does it cover?
ask: A picture with an area of {s} {unit} is enlarged so that each side becomes {k} times as long. Find the new area.
topic: how an area grows when lengths are multiplied
place: the line where the area becomes {k} times as large
cause: you multiplied the area by the factor that belongs to the lengths
sound: the factor {k} for the lengths
work: Every length becomes {k} times as long.
slip: So the area becomes {k} times as large, too.
work: {s} * {k} = {wrong}
probe: In how many directions does the shape grow?
probe: How many copies of a small square fit into a square whose sides are {k} times as long?
probe: What happens to the area if only the length is multiplied by {k}, and what if the width follows?
hint: The length grows and the width grows as well, so the area grows twice over.
hint: A small square fits into the enlarged one in several rows, not just in one row.
hint: Lengths and areas do not grow by the same factor.
action: draw a unit square and a square with sides {k} times as long, and fill it with unit squares
action: multiply the length by {k} first, and only then the width
action: choose a simple rectangle and compare both areas
solution: The area is multiplied by {k} * {k} = {kk}.
solution: {s} * {kk} = {answer}
"""

PYTHAGORAS = """
id: hypotenuse_as_sum_of_legs
area: geometry
name: Hypotenuse found by adding the legs
source: Matz, M. (1982), Towards a process model for high school algebra errors, in Sleeman & Brown (eds.), \
Intelligent Tutoring Systems, Academic Press
ask: A right-angled triangle has legs of {a} {unit} and {b} {unit}. How long is the hypotenuse?
ask: {name} walks {a} {unit} east and then {b} {unit} north. How far is it in a straight line back to the start?
ask: A rectangle is {a} {unit} long and {b} {unit} wide. How long is its diagonal?
ask: A rope is stretched from a point {a} {unit} up a pole to a point on level ground {b} {unit} from its foot. \
How long is the rope?
topic: the longest side of a right-angled triangle
place: the line that takes the root of each square on its own
cause: you took the square root of a sum term by term
sound: the squares {aa} and {bb}
work: {a}^2 = {aa} and {b}^2 = {bb}
slip: For the hypotenuse I take the root of each square: {a} and {b}.
work: {a} + {b} = {wrong}
probe: Is the straight way between two corners as long as the way along both legs?
probe: What number do you get when you square {ab}, and is it equal to {aa} + {bb}?
probe: In which order do the adding and the root come in the theorem of Pythagoras?
hint: A straight line is shorter than the way round the corner.
hint: The squares are added first, and the root is taken of their sum.
hint: A root of a sum is not the sum of the roots.
action: square {ab} and compare it with {aa} + {bb}
action: draw the triangle to scale and measure its longest side
action: add the two squares before you take any root
solution: {aa} + {bb} = {cc}
solution: The square root of {cc} is {answer}
"""


def add_sides(a: int, b: int) -> int:
    """The faulty area of a rectangle: the sum of its four sides."""
    return a + b + a + b


def base_times_height(a: int, b: int) -> int:
    """The faulty area of a triangle: the rectangle around it."""
    return a * b


def scale_linearly(area: int, k: int) -> int:
    """The faulty area after all lengths are multiplied by k."""
    return area * k


def root_term_by_term(a: int, b: int) -> int:
    """The faulty hypotenuse: the root of a^2 + b^2 is taken term by term."""
    return isqrt(a * a) + isqrt(b * b)


def _perimeter(rng: Random) -> Draw:
    a, b, unit = rng.randint(4, 25), rng.randint(2, 20), rng.choice(("cm", "m"))
    words = {"a": a, "b": b, "unit": unit, "sum": add_sides(a, b)}
    return Draw(a * b, add_sides(a, b), lambda area: f"{area} square {unit}", words)


def _triangle(rng: Random) -> Draw:
    a, b, unit = 2 * rng.randint(2, 12), rng.randint(3, 15), rng.choice(("cm", "m"))
    words = {"a": a, "b": b, "unit": unit, "product": a * b}
    return Draw(a * b // 2, base_times_height(a, b), lambda area: f"{area} square {unit}", words)


def _linearity(rng: Random) -> Draw:
    s, k, unit = rng.randint(3, 40), rng.randint(2, 6), rng.choice(("square cm", "square m"))
    return Draw(
        s * k * k, scale_linearly(s, k), lambda area: f"{area} {unit}", {"s": s, "k": k, "unit": unit, "kk": k * k}
    )


def _pythagoras(rng: Random) -> Draw:
    x, y, z = rng.choice(((3, 4, 5), (5, 12, 13), (8, 15, 17), (7, 24, 25), (20, 21, 29)))
    x, y = rng.choice(((x, y), (y, x)))
    m, unit = rng.randint(1, 5), rng.choice(("cm", "m"))
    a, b, c = x * m, y * m, z * m
    words = {"a": a, "b": b, "unit": unit, "aa": a * a, "bb": b * b, "cc": c * c, "ab": a + b}
    return Draw(c, root_term_by_term(a, b), lambda length: f"{length} {unit}", words)


MISCONCEPTIONS: tuple[Misconception, ...] = (
    misconception(PERIMETER, _perimeter),
    misconception(TRIANGLE, _triangle),
    misconception(LINEARITY, _linearity),
    misconception(PYTHAGORAS, _pythagoras),
)
