"""Systematic errors in the division of whole numbers and in the reading of remainders."""

from random import Random

from edu_align.tutoring.draw import fill, redrawn
from edu_align.tutoring.misconceptions.whole_questions import FULL_GROUPS, SHARES
from edu_align.tutoring.types import Case, Misconception


def quotient_zero_omitted(a: int, b: int) -> int:
    """Long division that writes no digit whenever the divisor does not go into the current remainder."""
    rest, written = 0, ""
    for digit in str(a):
        rest = 10 * rest + int(digit)
        if rest >= b:
            written += str(rest // b)
            rest %= b
    return int(written)


def remainder_dropped(a: int, b: int) -> int:
    """The number of full groups is given as the number of groups needed, whatever is left over."""
    return a // b


def _draw_quotient_zero_omitted(rng: Random) -> Case | None:
    b = rng.randint(3, 9)
    high, low = rng.randint(2, 9), rng.randint(1, 9)
    quotient = 100 * high + low
    a = quotient * b
    if low * b < 20:
        return None
    wrong = quotient_zero_omitted(a, b)
    front, tens = a // 100, a // 10 % 10
    return Case(
        question=fill(rng, SHARES, a=a, b=b),
        answer=str(quotient),
        wrong_answer=str(wrong),
        work=(
            f"{b} goes into {front} exactly {high} times, so I wrote {high}.",
            f"{b} does not go into {tens}, so I brought down the next digit and wrote nothing.",
            f"{b} goes into {low * b} exactly {low} times, so I wrote {low}.",
            f"My answer is {wrong}",
        ),
        wrong_step=1,
        topic="long division",
        place=f"the step where {b} did not go into {tens}",
        cause="you brought down the next digit without writing anything in the answer for that place",
        probes=(
            f"How many digits should the answer have if the {high} stands for hundreds?",
            f"How many times does {b} go into {tens}, and how can you show that in the answer?",
            f"What do you get when you multiply {wrong} by {b}, and what should you get?",
        ),
        hints=(
            "Every digit that is brought down puts one digit into the answer, even when the divisor does not fit.",
            f"The {high} came from dividing {front} hundreds, so it must end up in the hundreds place.",
            f"Multiplying the answer by {b} has to give {a} back.",
        ),
        actions=(
            f"write the {high} above the hundreds digit of {a} and fill every place to its right",
            f"check {wrong} * {b} against {a}",
            f"estimate the answer by dividing {high * b * 100} by {b}",
        ),
        solution=(
            f"{front} hundreds / {b} = {high} hundreds.",
            f"{tens} tens / {b} gives no whole ten, so a 0 goes in the tens place.",
            f"{low * b} ones / {b} = {low} ones.",
            f"{a} / {b} = {quotient}",
        ),
        wrong_place=f"the first step, {front} divided by {b}",
    )


def _draw_remainder_dropped(rng: Random) -> Case | None:
    b, wrong, rest = rng.randint(6, 24), rng.randint(3, 15), rng.randint(2, 20)
    if rest >= b:
        return None
    a = b * wrong + rest
    return Case(
        question=fill(rng, FULL_GROUPS, a=a, b=b),
        answer=str(wrong + 1),
        wrong_answer=str(remainder_dropped(a, b)),
        work=(
            f"I divided {a} by {b}.",
            f"{wrong} * {b} = {wrong * b}, and {a} - {wrong * b} leaves {rest} over.",
            f"The {rest} left over do not fill a group, so I left them out.",
            f"My answer is {wrong}",
        ),
        wrong_step=2,
        topic="what a remainder means in a story problem",
        place=f"the step with the {rest} left over",
        cause="you left out the remainder, although the story asks for room for all of them",
        probes=(
            f"What happens in the story to the {rest} that are left over?",
            f"If there are only {wrong} groups of {b}, how many find a place, and how many do not?",
            "Does the question ask for full groups only, or for enough groups for everyone and everything?",
        ),
        hints=(
            "The same division can call for different answers; the story decides what to do with the remainder.",
            f"With {wrong} groups there is room for exactly {wrong * b}.",
            "A group counts even when it is not full.",
        ),
        actions=(
            f"sketch the {wrong} full groups and mark where the last {rest} go",
            "read the question once more and say in your own words what has to be counted",
            f"compare {wrong * b} with {a} and decide whether that is enough",
        ),
        solution=(
            f"{a} / {b} = {wrong} remainder {rest}.",
            f"The {rest} left over need one more group: {wrong} + 1 = {wrong + 1}",
        ),
        wrong_place=f"the division, {a} by {b}",
    )


DIVISION = (
    Misconception(
        id="quotient_zero_omitted",
        area="whole numbers",
        name="Leaves out the zero in a quotient",
        source="Ashlock, Error Patterns in Computation (Merrill/Pearson, several editions): division of whole numbers",
        make=redrawn(_draw_quotient_zero_omitted),
    ),
    Misconception(
        id="remainder_dropped",
        area="whole numbers",
        name="Drops a remainder that the story needs",
        source="Silver, Shapiro & Deutsch (1993), Sense making and the solution of division problems involving "
        "remainders, Journal for Research in Mathematics Education 24",
        make=redrawn(_draw_remainder_dropped),
    ),
)
