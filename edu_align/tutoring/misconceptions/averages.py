"""Errors with means, medians and average speed; `probability_statistics.py` lists them."""

from fractions import Fraction
from math import lcm
from random import Random

from edu_align.tutoring.contexts import Draw, misconception, num

FREQUENCIES = """
id: mean_ignores_frequencies
area: probability and statistics
name: Mean of the values without their frequencies
source: Batanero, C. et al. (1994), Errors and difficulties in understanding elementary statistical concepts, \
Int. J. Math. Educ. Sci. Tech. 25(4), 527-547
ask: In a quiz, {table}. What is the mean score?
ask: {name} makes a table of scores: {table}. Find the mean score.
ask: A club played a game. Of its members, {table}. What was the mean score of a member?
ask: The scores in a test are listed like this: {table}. What is the average score of a student?
topic: the mean of a frequency table
place: the sum {values}
cause: you counted every score once, however many students had it
sound: the list of the different scores
work: The scores are {list}.
slip: Their sum is {values} = {sum}, and there are {kinds} of them.
work: {sum} / {kinds} = {wrong}
probe: How many students are there altogether?
probe: How many times would a score appear if each student's score were written down?
probe: Should a score that many students have count as much as one that few students have?
hint: The mean shares the total of all scores among all students.
hint: A score that several students have enters the total several times.
hint: The number to divide by is the number of students, not the number of different scores.
action: write out the scores of all students one by one
action: multiply each score by the number of students who have it
action: count all students before you divide
solution: The total is {weighted} = {total}.
solution: There are {count} students, and {total} / {count} = {answer}
"""

MEDIAN = """
id: median_unsorted
area: probability and statistics
name: Median read off an unsorted list
source: Zawojewski, J. & Shaughnessy, J. M. (2000), Mean and median: Are they really so easy?, \
Math. Teach. Middle School 5(7), 436-440
ask: Find the median of {list}.
ask: {name} notes the temperatures of some days: {list}. What is the median?
ask: The runners of a team needed {list} minutes. What is the median time in minutes?
ask: {name} counts the {things} in some boxes: {list}. What is the median of these numbers?
topic: the median of a list of numbers
place: the line where you pick the number at position {middle}
cause: you took the middle of the list before putting it in order
sound: the count of {n} numbers
work: There are {n} numbers, so the one at position {middle} is in the middle.
slip: The number at that position in {list} is the median.
work: median = {wrong}
probe: What should be true about the numbers on each side of a median?
probe: How many numbers in the list are smaller than {wrong}, and how many are larger?
probe: Would the median change if somebody read the same numbers out in another order?
hint: The median splits the data into a lower half and an upper half.
hint: The position in the middle says something only when the numbers are in order.
hint: The order in which data are collected does not matter for the median.
action: write the numbers in order from smallest to largest
action: count how many numbers lie below {wrong} and how many above it
action: cross off the smallest and the largest number again and again
solution: In order: {sorted}
solution: The number at position {middle} is {answer}
"""

MEANS = """
id: mean_of_group_means
area: probability and statistics
name: Mean of two group means without their sizes
source: Pollatsek, A., Lima, S. & Well, A. D. (1981), Concept or computation: Students' understanding of the mean, \
Educ. Stud. Math. 12, 191-204
ask: A class of {n} students has a mean score of {x}. Another class of {m} students has a mean of {y}. What is the \
mean score of all students together?
ask: {n} boxes hold {x} {things} on average and {m} other boxes hold {y} on average. What is the average of all boxes?
ask: {name} read {x} pages a day for {n} days and {y} pages a day for {m} days. How many pages is that a day on average?
ask: In one team of {n} players the mean number of points is {x}, in another of {m} players it is {y}. \
What is the mean of all players?
topic: the mean of two groups of different sizes
place: the step ({x} + {y}) / 2
cause: you let both groups count the same, although one is larger
sound: the sum of {x} and {y}
work: The two averages are {x} and {y}, with the sum {x} + {y} = {sum}.
slip: So the average of all is half of that: ({x} + {y}) / 2
work: {sum} / 2 = {wrong}
probe: Which group has more members, and which way should it pull the average?
probe: What is the total of the first group, and what is the total of the second one?
probe: If one group had a single member and the other a thousand, would the mean lie halfway?
hint: The larger group counts for more in the overall average.
hint: An average is a total divided by how many share it.
hint: The two group averages can be turned back into totals.
action: find the total of each group from its average and its size
action: add the sizes {n} and {m}
action: decide which of {x} and {y} the overall average should be nearer to
solution: {n} * {x} + {m} * {y} = {total}
solution: {n} + {m} = {size}, and {total} / {size} = {answer}
"""

SPEED = """
id: mean_of_speeds
area: measurement
name: Average speed taken as the mean of two speeds
source: Reed, S. K. (1984), Estimating answers to algebra word problems, J. Exp. Psychol. LMC 10, 778-790
ask: {name} drives {d} km at {v} km/h and returns the same way at {w} km/h. What is the average speed of the trip?
ask: A bus goes {d} km at {v} km/h and then another {d} km at {w} km/h. What is its average speed?
ask: A boat travels {d} km out at {v} km/h and {d} km back at {w} km/h. Find the average speed.
ask: On the first {d} km of a tour, {name} goes {v} km/h, on the last {d} km {w} km/h. What is the average speed over \
the {dd} km?
topic: average speed over a whole trip
place: the step where you halve {v} + {w}
cause: you let both speeds count the same, although they last for different times
sound: the sum {v} + {w} = {sum}
work: The two speeds are {v} and {w}, and {v} + {w} = {sum}
slip: The distances are equal, so the average speed is half of that.
work: {sum} / 2 = {wrong}
probe: How long does each part of the trip take?
probe: On which part is more time spent, the slower or the faster one?
probe: What are the total distance and the total time of the trip?
hint: Average speed is the total distance divided by the total time.
hint: More time is spent at the slower speed, so it counts for more.
hint: The mean of two speeds fits only when both last for the same time.
action: work out the time for each part of the trip
action: find the whole distance and the whole time
action: decide which of the two speeds the average must be nearer to
solution: {d} / {v} = {t} and {d} / {w} = {u}, together {t} + {u} = {time} hours
solution: {dd} / {time} = {answer}
"""


def mean_of_values(scores: list[int]) -> Fraction:
    """The faulty mean: each different score counts once."""
    return Fraction(sum(scores), len(scores))


def middle_as_listed(values: list[int]) -> int:
    """The faulty median of an odd number of values: the middle one as they are listed."""
    return values[len(values) // 2]


def midpoint(x: int, y: int) -> Fraction:
    """The faulty average of two rates or group means: halfway between them."""
    return Fraction(x + y, 2)


def _frequencies(rng: Random) -> Draw | None:
    scores = sorted(rng.sample(range(1, 11), 3))
    counts = [rng.randint(1, 9) for _ in scores]
    count = counts[0] + counts[1] + counts[2]
    total = sum(score * n for score, n in zip(scores, counts, strict=True))
    if 10 * total % count or sum(scores) % 3 or 1 in counts:  # means with at most one decimal place
        return None
    parts = [f"{n} students scored {score}" for score, n in zip(scores, counts, strict=True)]
    words: dict[str, object] = {"table": f"{parts[0]}, {parts[1]} and {parts[2]}", "kinds": 3}
    words |= {"list": f"{scores[0]}, {scores[1]} and {scores[2]}", "values": " + ".join(map(str, scores))}
    words |= {"sum": sum(scores), "count": count, "total": total}
    words["weighted"] = " + ".join(f"{n} * {score}" for score, n in zip(scores, counts, strict=True))
    return Draw(Fraction(total, count), mean_of_values(scores), num, words)


def _median(rng: Random) -> Draw:
    values = rng.sample(range(6, 40), rng.choice((5, 7, 9)))
    n, order = len(values), sorted(values)
    words = {"n": n, "middle": n // 2 + 1, "list": ", ".join(map(str, values)), "sorted": ", ".join(map(str, order))}
    return Draw(order[n // 2], middle_as_listed(values), num, words)


def _means(rng: Random) -> Draw:
    n, m = rng.choice(((10, 30), (30, 10), (8, 12), (12, 8), (20, 5), (5, 15), (6, 24), (18, 12)))
    x, y = rng.randrange(20, 90, 2), rng.randrange(20, 90, 2)
    total = n * x + m * y
    words = {"n": n, "m": m, "x": x, "y": y, "sum": x + y, "total": total, "size": n + m}
    return Draw(Fraction(total, n + m), midpoint(x, y), num, words)


def _speed(rng: Random) -> Draw:
    pairs = ((40, 60), (30, 60), (20, 30), (10, 15), (20, 60), (40, 120), (60, 90), (60, 120), (30, 70), (45, 90))
    v, w = rng.choice(pairs)
    v, w = rng.choice(((v, w), (w, v)))
    d = lcm(v, w) * rng.randint(1, 2)
    words = {"v": v, "w": w, "d": d, "dd": 2 * d, "sum": v + w, "t": d // v, "u": d // w, "time": d // v + d // w}
    return Draw(Fraction(2 * d, d // v + d // w), midpoint(v, w), lambda speed: f"{num(speed)} km/h", words)


AVERAGES = (
    misconception(FREQUENCIES, _frequencies),
    misconception(MEDIAN, _median),
    misconception(MEANS, _means),
    misconception(SPEED, _speed),
)
