"""Errors in probability, and those on averages from `averages.py`."""

from fractions import Fraction
from random import Random

from edu_align.tutoring.contexts import Draw, frac, misconception
from edu_align.tutoring.misconceptions.averages import AVERAGES
from edu_align.tutoring.types import Misconception

GAMBLER = """
id: gamblers_fallacy
area: probability and statistics
name: A run without the event makes the event due
source: Tversky, A. & Kahneman, D. (1974), Judgment under uncertainty: Heuristics and biases, Science 185, 1124-1131
ask: {device}. {n} tries in a row did not bring {event}. What is the probability that the next one brings {event}?
ask: {device}. {name} has tried {n} times and never got {event}. How likely is {event} on the next try? Give a fraction.
ask: {device}. In a game, {event} wins. {friend} has lost {n} times in a row. What is the probability to win next time?
ask: {device}. After {n} tries without {event}, {name} tries once more. Find the probability of {event} on that try.
topic: the chance of the next try after a run
place: the line that uses {run} for the next try
cause: you counted the tries that are already over as if they could still turn out differently
sound: the chance {run} of {next} misses in a row, seen from before the first try
work: Together with the next one there would be {next} tries without {event}.
slip: {next} misses in a row have probability {run}, so that is the chance that the next one misses.
work: The chance of {event} is 1 - {run} = {wrong}
probe: Does the {thing} know what came before?
probe: Which of the {next} tries is still open, and which are already over?
probe: What would you say about the chance if somebody who did not see the earlier tries asked you?
hint: The tries do not influence each other.
hint: What has already happened is certain; only the next try is left to chance.
hint: A run changes nothing about the {thing} itself.
action: write down the chance of {event} on the very first try and ask what has changed since
action: list the possible results of the next try alone
action: cross out the tries that are already over
solution: Each try is independent of the ones before, so only the next one counts.
solution: The probability of {event} is {answer}
"""

EQUIPROBABLE = """
id: equiprobability_bias
area: probability and statistics
name: All sums of two dice taken as equally likely
source: Lecoutre, M.-P. (1992), Cognitive models and problem spaces in "purely random" situations, \
Educ. Stud. Math. 23, 557-568
ask: Two fair dice with faces 1 to {s} are rolled. What is the probability that the sum is {total}?
ask: {name} rolls two fair {s}-sided dice (faces 1 to {s}) and adds the numbers. How likely is a sum of {total}?
ask: In a game you move by the sum of two fair dice, each with faces 1 to {s}. What is the chance to move {total} steps?
ask: A bag holds cards 1 to {s}. {name} draws one, puts it back and draws again. What is the probability that the two \
numbers add up to {total}?
topic: the chance of a sum of two random numbers
place: the line where all {sums} sums get the same chance
cause: you treated the sums as equally likely without counting in how many ways each one comes about
sound: the count of the {sums} possible sums
work: The smallest sum is 2 and the largest is {top}, so there are {sums} sums.
slip: Each of these sums is equally likely.
work: The probability of the sum {total} is {wrong}
probe: In how many ways can you get a sum of 2, and in how many a sum of 3?
probe: How many pairs of first and second number are there altogether?
probe: Which results are really equally likely: the sums, or the pairs of numbers?
hint: The pairs of numbers are equally likely; the sums are not.
hint: A sum in the middle comes about in more ways than a sum at either end.
hint: A first number and a second number in swapped order make two different pairs.
action: draw a table with the first number across and the second number down
action: list every pair that gives the sum {total}
action: count all pairs, not all sums
solution: There are {s} * {s} = {pairs} pairs, and {ways} of them have the sum {total}.
solution: {ways} / {pairs} = {answer}
"""

ADDED = """
id: probabilities_added_for_and
area: probability and statistics
name: Probabilities of independent events added for "both"
source: Watson, J. M. & Moritz, J. B. (2002), School students' reasoning about conjunction and conditional events, \
Int. J. Math. Educ. Sci. Tech. 33(1), 59-84
ask: Two independent events have the probabilities {p} and {q}. What is the probability that both happen?
ask: {name} hits a target with probability {p} and {friend} with probability {q}, independently. How likely do both hit?
ask: One wheel stops on red with probability {p}, another with probability {q}. What is the chance that both show red?
ask: A first lamp is on with probability {p}, a second one, independently, with probability {q}. How likely are both on?
topic: the chance that two independent events both happen
place: the step {p} + {q}
cause: you added the probabilities although both events have to happen
sound: the two probabilities {p} and {q} themselves
work: The two probabilities are {p} and {q}.
slip: Both should happen, so I add: {p} + {q}
work: {p} + {q} = {wrong}
probe: Can it be more likely that both happen than that the first one happens?
probe: Out of many trials, in what part of them does the first event happen?
probe: Among the trials in which the first event happens, in what part does the second one happen as well?
hint: That both happen is rarer than that one of them happens.
hint: The second event has to happen within the part in which the first one already did.
hint: A tree diagram shows a part of a part.
action: compare {wrong} with {p}
action: draw a tree diagram with a branch for each event
action: imagine {trials} trials and count in how many of them the first event happens
solution: Both happen in a part of a part, so multiply.
solution: {p} * {q} = {answer}
"""

REPLACED = """
id: without_replacement_as_with
area: probability and statistics
name: Second draw treated as if the first were put back
source: Tarr, J. E. & Jones, G. A. (1997), A framework for assessing middle school students' thinking in conditional \
probability and independence, Math. Educ. Res. J. 9(1), 39-59
ask: A bag holds {r} red and {b} blue {things}. {name} takes two without putting any back. How likely are both red?
ask: From {r} red and {b} blue {things} two are drawn without replacement. What is the probability that both are red?
ask: {name} and then {friend} each take one of {n} {things} at random and keep it. {r} of them are red. What is the \
probability that both get a red one?
ask: Of {n} {things}, {r} are red and the others are blue. Two are picked at once. What is the chance that both are red?
topic: drawing twice without putting back
place: the second factor, {r}/{n}
cause: you used the same chance again although one is already gone
sound: the first factor, {r}/{n}
work: The first one is red with probability {r}/{n}.
slip: The second one is red with probability {r}/{n} as well.
work: {r}/{n} * {r}/{n} = {wrong}
probe: How many are left in all when the second one is taken?
probe: If the first one was red, how many red ones are left?
probe: Does the first draw change what the second draw can choose from?
hint: What is taken out stays out, so there is less to choose from.
hint: The second chance depends on what came first.
hint: Both counts change after a red one has been taken.
action: sketch the {n} {things} and cross out the one that was taken first
action: write the chance of the second draw with the new counts
action: draw a tree diagram and label the second branches with the new counts
solution: The first is red with probability {r}/{n}, then the second with {r1}/{n1}.
solution: {r}/{n} * {r1}/{n1} = {answer}
"""

# (the device as a sentence, the thing, the event, its chance)
DEVICES = (
    ("A fair coin is tossed", "coin", "heads", Fraction(1, 2)),
    ("A fair coin is tossed", "coin", "tails", Fraction(1, 2)),
    ("A fair die with faces 1 to 6 is rolled", "die", "a six", Fraction(1, 6)),
    ("A wheel with three equal sectors, one of them green, is spun", "wheel", "green", Fraction(1, 3)),
    ("A wheel with four equal sectors, one of them red, is spun", "wheel", "red", Fraction(1, 4)),
)


def due_probability(chance: Fraction, misses: int) -> Fraction:
    """The faulty chance of an event after `misses` misses: one minus the chance of a run of one miss more."""
    return 1 - (1 - chance) ** (misses + 1)


def equal_sums(sides: int) -> Fraction:
    """The faulty chance of any sum of two dice: one over the number of sums from 2 to twice `sides`."""
    return Fraction(1, len(range(2, 2 * sides + 1)))


def add_for_both(p: Fraction, q: Fraction) -> Fraction:
    """The faulty chance that two independent events both happen."""
    return p + q


def same_chance_twice(red: int, total: int) -> Fraction:
    """The faulty chance of two red ones without replacement: the first chance is used twice."""
    return Fraction(red, total) ** 2


def _gambler(rng: Random) -> Draw:
    device, thing, event, chance = rng.choice(DEVICES)
    n = rng.randint(2, 5 if chance == Fraction(1, 2) else 3)
    words = {"device": device, "thing": thing, "event": event, "n": n, "next": n + 1}
    return Draw(chance, due_probability(chance, n), frac, {**words, "run": frac((1 - chance) ** (n + 1))})


def _equiprobable(rng: Random) -> Draw:
    s = rng.choice((4, 6, 8, 10))
    total = rng.randint(3, 2 * s - 1)
    ways = sum(a + b == total for a in range(1, s + 1) for b in range(1, s + 1))
    words = {"s": s, "total": total, "top": 2 * s, "sums": 2 * s - 1, "pairs": s * s, "ways": ways}
    return Draw(Fraction(ways, s * s), equal_sums(s), frac, words)


def _added(rng: Random) -> Draw | None:
    p, q = (Fraction(rng.randint(1, 4), rng.randint(2, 10)) for _ in range(2))
    if p + q >= 1:
        return None
    words = {"p": frac(p), "q": frac(q), "trials": p.denominator * q.denominator * 10}
    return Draw(p * q, add_for_both(p, q), frac, words)


def _replaced(rng: Random) -> Draw:
    r, b = rng.randint(2, 8), rng.randint(2, 8)
    n = r + b
    words = {"r": r, "b": b, "n": n, "r1": r - 1, "n1": n - 1}
    return Draw(Fraction(r * (r - 1), n * (n - 1)), same_chance_twice(r, n), frac, words)


MISCONCEPTIONS: tuple[Misconception, ...] = (
    misconception(GAMBLER, _gambler),
    misconception(EQUIPROBABLE, _equiprobable),
    misconception(ADDED, _added),
    misconception(REPLACED, _replaced),
    *AVERAGES,
)
