"""Systematic errors in column subtraction of whole numbers. Digits are listed ones first throughout."""

from random import Random

from edu_align.tutoring.draw import COLUMNS, digits, fill, from_digits, pick, redrawn
from edu_align.tutoring.misconceptions.whole_questions import DIFFERENCES
from edu_align.tutoring.types import Case, Misconception


def smaller_from_larger(a: int, b: int) -> int:
    """In every column, the smaller digit is taken from the larger one, whichever stands on top."""
    top = digits(a)
    return from_digits([abs(x - y) for x, y in zip(top, digits(b, len(top)), strict=True)])


def borrow_no_decrement(a: int, b: int) -> int:
    """Ten is added to a top digit that is too small, but nothing is taken from the next column."""
    top = digits(a)
    return from_digits([(x - y) % 10 for x, y in zip(top, digits(b, len(top)), strict=True)])


def borrow_across_zero(a: int, b: int) -> int:
    """A borrow skips columns whose top digit is 0 and is taken from the next column that is not 0; zeros stay zeros."""
    top, result = digits(a), []
    for column, low in enumerate(digits(b, len(top))):
        if top[column] < low:
            lender = next(j for j in range(column + 1, len(top)) if top[j] > 0)
            top[lender] -= 1
            top[column] += 10
        result.append(top[column] - low)
    return from_digits(result)


def _solution(a: int, b: int) -> tuple[str, ...]:
    """Correct column subtraction, one line a column."""
    top, lines = digits(a), [f"Write {b} under {a}, ones under ones."]
    for column, low in enumerate(digits(b, len(top))):
        note = ""
        if top[column] < low:
            lender = next(j for j in range(column + 1, len(top)) if top[j] > 0)
            for j in range(lender, column, -1):
                top[j] -= 1
                top[j - 1] += 10
            note = f" after a trade with the {COLUMNS[lender]}"
        lines.append(f"{COLUMNS[column].capitalize()}{note}: {top[column]} - {low} = {top[column] - low}.")
    return (*lines, f"{a} - {b} = {a - b}")


def _draw_smaller_from_larger(rng: Random) -> Case | None:
    a, b = rng.randint(210, 989), rng.randint(102, 799)
    top, low = digits(a), digits(b)
    if a <= b or a // 100 == b // 100 or top[0] < low[0] or top[1] >= low[1] or top[1] < 2 or top[0] == 0:
        return None
    wrong = smaller_from_larger(a, b)
    return Case(
        question=fill(rng, DIFFERENCES, a=a, b=b),
        answer=str(a - b),
        wrong_answer=str(wrong),
        work=(
            f"I wrote {b} under {a}, ones under ones.",
            f"Ones: {top[0]} - {low[0]} = {top[0] - low[0]}.",
            f"Tens: {top[1]} - {low[1]}, so I wrote {low[1] - top[1]}.",
            f"Hundreds: {top[2]} - {low[2]} = {top[2] - low[2]}.",
            f"My answer is {wrong}",
        ),
        wrong_step=2,
        topic="subtracting whole numbers in columns",
        place=f"the tens column, {top[1]} - {low[1]}",
        cause=f"you took the smaller digit {top[1]} from the larger digit {low[1]}",
        probes=(
            "In the tens column, which digit are we taking away, and which one are we taking it from?",
            f"If you have {top[1]} tens, can you hand over {low[1]} tens without breaking something up first?",
            f"What do you get when you add your {wrong} to {b}, and what should it be?",
        ),
        hints=(
            "The order in a subtraction matters: the lower digit is always taken from the upper digit.",
            "When the upper digit is too small, one unit of the next column to the left can be traded for ten.",
            f"Adding the result to {b} has to bring you back to {a}, so a subtraction can always be checked.",
        ),
        actions=(
            f"trade one of the {top[2]} hundreds for ten tens before you subtract in the tens column",
            f"draw {a} with hundreds, tens and ones blocks and take {low[1]} tens away",
            f"add {wrong} and {b} to see whether you come back to {a}",
        ),
        solution=_solution(a, b),
        wrong_place=pick(rng, (f"the ones column, {top[0]} - {low[0]}", "the way you lined the two numbers up")),
    )


def _draw_borrow_no_decrement(rng: Random) -> Case | None:
    a, b = rng.randint(210, 989), rng.randint(102, 799)
    top, low = digits(a), digits(b)
    if a // 100 <= b // 100 or top[0] >= low[0] or top[1] <= max(low[1], 1):
        return None
    wrong = borrow_no_decrement(a, b)
    return Case(
        question=fill(rng, DIFFERENCES, a=a, b=b),
        answer=str(a - b),
        wrong_answer=str(wrong),
        work=(
            f"I wrote {b} under {a}, ones under ones.",
            f"Ones: {top[0]} is too small, so I borrowed ten: {top[0] + 10} - {low[0]} = {top[0] + 10 - low[0]}.",
            f"Tens: {top[1]} - {low[1]} = {top[1] - low[1]}.",
            f"Hundreds: {top[2]} - {low[2]} = {top[2] - low[2]}.",
            f"My answer is {wrong}",
        ),
        wrong_step=2,
        topic="subtraction with borrowing",
        place=f"the tens column, {top[1]} - {low[1]}",
        cause=f"you still used all {top[1]} tens although one of them had gone to the ones",
        probes=(
            f"Where did the ten come from that turned {top[0]} ones into {top[0] + 10} ones?",
            "After the trade, how many tens are really left on top?",
            f"Is the top row still worth {a} in all after your borrowing?",
        ),
        hints=(
            "A borrow is a trade: what one column gains, the next column to the left gives up.",
            f"Before and after a trade, the top number must still be worth {a} altogether.",
            "Crossing out the digit that lends and writing the new one above it keeps track of the trade.",
        ),
        actions=(
            f"cross out the {top[1]} in the tens column and write above it what is left after the trade",
            f"write {a} as hundreds, tens and ones before and after the borrow and compare the totals",
            f"check your result by adding {wrong} and {b}",
        ),
        solution=_solution(a, b),
        wrong_place=pick(
            rng, (f"the ones column, {top[0] + 10} - {low[0]}", f"the hundreds column, {top[2]} - {low[2]}")
        ),
    )


def _draw_borrow_across_zero(rng: Random) -> Case | None:
    a, b = 100 * rng.randint(3, 9) + rng.randint(1, 8), rng.randint(101, 699)
    top, low = digits(a), digits(b)
    if top[0] >= low[0] or low[1] < 1 or top[2] < low[2] + 2:
        return None
    wrong = borrow_across_zero(a, b)
    once, twice = top[2] - 1, top[2] - 2
    return Case(
        question=fill(rng, DIFFERENCES, a=a, b=b),
        answer=str(a - b),
        wrong_answer=str(wrong),
        work=(
            f"I wrote {b} under {a}, ones under ones.",
            f"Ones: {top[0]} is too small, so I took ten from the hundreds: {top[2]} becomes {once} and the 0 stays 0.",
            f"So the ones are {top[0] + 10} - {low[0]} = {top[0] + 10 - low[0]}.",
            f"Tens: 0 is too small, so I borrowed again: {once} becomes {twice}, and 10 - {low[1]} = {10 - low[1]}.",
            f"Hundreds: {twice} - {low[2]} = {twice - low[2]}.",
            f"My answer is {wrong}",
        ),
        wrong_step=1,
        topic="borrowing across a zero",
        place="the step where you borrowed for the ones across the zero",
        cause="you moved a whole hundred to the ones as if it were worth ten ones",
        probes=(
            f"How much is one hundred worth if you count it in ones, and how many ones did you add to the {top[0]}?",
            "What has to happen in the tens column before the ones can borrow from it?",
            f"How many tens and ones could you trade one of the {top[2]} hundreds for?",
        ),
        hints=(
            "A hundred can only be traded for ten tens; after that, one of those tens can be traded for ten ones.",
            "The zero in the tens column changes twice: it first receives ten tens and then gives one of them away.",
            f"The top row must stay worth {a} in all, whatever you trade.",
        ),
        actions=(
            "make the trade in two stages, first hundreds to tens and then tens to ones",
            f"write the top row as {once} hundreds and ten tens before you give a ten to the ones",
            f"add {wrong} and {b} and compare the sum with {a}",
        ),
        solution=_solution(a, b),
        wrong_place=f"the ones column, {top[0] + 10} - {low[0]}",
    )


SUBTRACTION = (
    Misconception(
        id="smaller_from_larger",
        area="whole numbers",
        name="Takes the smaller digit from the larger one",
        source="Brown & Burton (1978), Diagnostic models for procedural bugs in basic mathematical skills, Cognitive "
        "Science 2: bug 'smaller from larger'",
        make=redrawn(_draw_smaller_from_larger),
    ),
    Misconception(
        id="borrow_no_decrement",
        area="whole numbers",
        name="Borrows without decreasing the next column",
        source="VanLehn (1990), Mind Bugs: The Origins of Procedural Misconceptions, MIT Press: 'borrow no decrement'",
        make=redrawn(_draw_borrow_no_decrement),
    ),
    Misconception(
        id="borrow_across_zero",
        area="whole numbers",
        name="Borrows across a zero without changing it",
        source="Brown & Burton (1978), Cognitive Science 2, and VanLehn (1990), Mind Bugs: 'borrow across zero'",
        make=redrawn(_draw_borrow_across_zero),
    ),
)
