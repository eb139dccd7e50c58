"""Errors with letters, equations and inequalities; `algebra.py` lists them."""

from random import Random

from edu_align.tutoring.contexts import Draw, misconception, num, poly

MOVE = """
id: moved_without_sign_change
area: algebra
name: A term moved to the other side without changing its sign
source: Kieran, C. (1992), The learning and teaching of school algebra, in Grouws (ed.), Handbook of Research \
on Mathematics Teaching and Learning, NCTM
ask: Solve {left} = {c}.
ask: Find x when {left} = {c}.
ask: {name} thinks of a number x, multiplies it by {a} and adds {b}. The result is {c}. What is x?
ask: A taxi asks {b} dollars to start and {a} dollars per km. A ride costs {c} dollars. How many km, x, was it long?
topic: solving an equation with two steps
place: the line {a}x = {c} + {b}
cause: you carried the {b} to the other side without reversing what it does
sound: the division by {a} at the end
work: {left} = {c}
slip: I bring the {b} over: {a}x = {c} + {b} = {sum}
work: x = {sum} / {a} = {wrong}
probe: What do you get when you put {wrong} back into {left}?
probe: Which operation undoes adding {b}?
probe: What has to be done to both sides so that {a}x stands alone on the left?
hint: An equation stays true only if the same is done to both sides.
hint: The left side loses its {b}, so the right side has to lose it as well.
hint: A term that is added on one side is undone by taking it away.
action: put x = {wrong} into {left} and compare the result with {c}
action: write the same operation under both sides of {left} = {c}
action: cover {a}x with a finger and ask which number plus {b} makes {c}
solution: {a}x = {c} - {b} = {diff}
solution: x = {diff} / {a} = {answer}
"""

REVERSAL = """
id: reversal_error
area: algebra
name: Letters as labels: the factor on the wrong side of the equation
source: Clement, J. (1982), Algebra word problem solutions: Thought processes underlying a common misconception, \
J. Res. Math. Educ. 13(1), 16-30
ask: There are {k} times as many {many} as {few}. Write an equation with {m} for the number of {many} and {f} for the \
number of {few}.
ask: For every one of the {few} there are {k} {many}. {m} is the number of {many}, {f} the number of {few}. Which \
equation links {m} and {f}?
ask: {name} counts {m} {many} and {f} {few} and finds {k} times as many {many} as {few}. Write this as an equation.
ask: Let {m} stand for the number of {many} and {f} for the number of {few}. The {many} are {k} times as many as the \
{few}. Write the equation.
topic: writing a comparison as an equation
place: the side on which you put the {k}
cause: you wrote the letters in the order of the words, as if they were short for {many} and {few}
sound: the choice of the letters {m} and {f}
work: {m} goes with the {many} and {f} goes with the {few}.
slip: There are {k} of the {many} for one of the {few}, so the {k} stands with {m}.
work: {wrong}
probe: If there were 10 {few}, how many {many} would there be?
probe: Which of the two numbers is the larger one, {m} or {f}?
probe: Does the letter {m} stand for the {many} themselves or for how many there are?
hint: A letter stands for a number, not for a group of people or things.
hint: The smaller number has to be multiplied so that it becomes as large as the other.
hint: An equation like this can be tested with numbers that fit the story.
action: make a table with some values of {f} and the values of {m} that belong to them
action: put {f} = 10 and the number of {many} that fits it into your equation
action: decide which of the two numbers must be multiplied to become equal to the other
solution: {m} is the larger number, it is {k} times {f}.
solution: The equation is {answer}
"""

FLIP = """
id: inequality_not_flipped
area: algebra
name: Inequality sign kept after division by a negative number
source: Tsamir, P. & Bazzini, L. (2004), Consistencies and inconsistencies in students' solutions to algebraic \
'single-value' inequalities, Int. J. Math. Educ. Sci. Tech. 35(6), 793-812
ask: Solve -{a}x {sign} {c}.
ask: For which x is -{a}x {sign} {c} true?
ask: {name} multiplies a number x by -{a}. The result fits -{a}x {sign} {c}. What is known about x?
ask: Find all numbers x with -{a}x {sign} {c}.
topic: solving an inequality
place: the step where you divide by -{a}
cause: you kept the direction of the sign although you divided by a negative number
sound: the number {q} that the division gives
work: -{a}x {sign} {c}
slip: I divide both sides by -{a} and keep the sign.
work: {wrong}
probe: Is the inequality true for x = 0, and is 0 in your solution?
probe: Take two numbers such as 2 and 5: which one is larger after both are multiplied by -1?
probe: What happens to the order of two numbers on the number line when both change their sign?
hint: Multiplying or dividing by a negative number mirrors the number line.
hint: The order of two numbers turns round when both change their sign.
hint: A test value from your solution shows whether the direction is right.
action: test your solution with the value {test}
action: add {a}x to both sides first, so that you never divide by a negative number
action: mark the boundary on a number line and test one value on each side of it
solution: {c} / -{a} = {q}, and dividing by -{a} turns the sign round.
solution: {answer}
"""

CONCATENATE = """
id: letter_as_digit
area: algebra
name: A number put in for a letter as if it were a digit
source: Küchemann, D. (1981), Algebra, in Hart, K. (ed.), Children's Understanding of Mathematics: 11-16, Murray
ask: What is the value of {a}{t} + {b} when {t} = {v}?
ask: Let {t} = {v}. Work out {a}{t} + {b}.
ask: A ticket costs {t} dollars. {a} tickets and a fee cost {a}{t} + {b} dollars. How many dollars is that if \
{t} = {v}?
ask: {name} has {a} bags with {t} {things} each and {b} {things} more, that is {a}{t} + {b}. How many are there if \
{t} = {v}?
topic: putting a number in for a letter
place: the line where {a}{t} becomes {joined}
cause: you wrote {v} next to {a} as if the letter were a digit
sound: adding {b} at the end
work: I put {v} in the place of {t}.
slip: {a}{t} becomes {joined}.
work: {joined} + {b} = {wrong}
probe: What does a number directly in front of a letter tell you to do?
probe: How would you write {a}{t} with the sign that is left out?
probe: If one ticket costs {v} dollars, how would you find the price of {a} tickets?
hint: Between a number and a letter there is an invisible multiplication sign.
hint: {a}{t} is short for {t} added {a} times.
hint: {joined} has {a} tens, but {a}{t} has {a} times {t}.
action: write {a}{t} with its multiplication sign before you put {v} in
action: write {a}{t} as a sum of {a} equal letters
action: try it with {t} = 10 and ask whether {a}10 can be right
solution: {a}{t} = {a} * {v} = {product}
solution: {product} + {b} = {answer}
"""


def move_keeping_sign(a: int, b: int, c: int) -> int:
    """The faulty solution of ax + b = c: ax = c + b. The sum must be a multiple of a."""
    if (c + b) % a:
        raise ValueError(f"{c} + {b} is no multiple of {a}")
    return (c + b) // a


def words_in_order(k: int) -> tuple[int, int]:
    """The faulty equation of "k times as many M as F": the factors of M and of F in kM = F."""
    return (k, 1)


def keep_direction(a: int, sign: str, c: int) -> tuple[str, int]:
    """The faulty solution of -ax < c (a divides c): the same sign and c / -a."""
    return (sign, c // -a)


def join_digits(a: int, value: int) -> int:
    """The faulty value of a times t for t = value: the digits are written side by side."""
    return int(f"{a}{value}")


def _move(rng: Random) -> Draw:
    a, x = rng.randint(2, 9), rng.randint(2, 15)
    b = rng.choice([b for b in range(2, 30) if (2 * b) % a == 0])
    c = a * x + b
    words = {"a": a, "b": b, "c": c, "left": poly((a, b)), "sum": c + b, "diff": c - b}
    return Draw(x, move_keeping_sign(a, b, c), num, words)


def _equation(factors: tuple[int, int], m: str, f: str) -> str:
    left, right = (letter if k == 1 else f"{k}{letter}" for k, letter in zip(factors, (m, f), strict=True))
    return f"{left} = {right}"


def _reversal(rng: Random) -> Draw:
    pairs = (("students", "professors"), ("children", "adults"), ("goats", "horses"), ("chairs", "tables"))
    many, few = rng.choice((*pairs, ("players", "referees"), ("books", "shelves"), ("cups", "trays")))
    k, m, f = rng.randint(2, 12), many[0].upper(), few[0].upper()
    words = {"k": k, "many": many, "few": few, "m": m, "f": f}
    return Draw((1, k), words_in_order(k), lambda factors: _equation(factors, m, f), words)


def _flip(rng: Random) -> Draw:
    a, q, sign = rng.randint(2, 9), rng.choice([q for q in range(-12, 13) if q]), rng.choice("<>")
    c = -a * q
    wrong = keep_direction(a, sign, c)
    test = q - 1 if sign == "<" else q + 1
    words = {"a": a, "q": q, "sign": sign, "c": c, "test": test}
    right = ("<" if sign == ">" else ">", q)
    return Draw(right, wrong, lambda value: f"x {value[0]} {num(value[1])}", words)


def _concatenate(rng: Random) -> Draw:
    a, b, v, t = rng.randint(2, 9), rng.randint(2, 20), rng.randint(2, 9), rng.choice("kmnptxy")
    words = {"a": a, "b": b, "v": v, "t": t, "joined": join_digits(a, v), "product": a * v}
    return Draw(a * v + b, join_digits(a, v) + b, num, words)


EQUATIONS = (
    misconception(MOVE, _move),
    misconception(REVERSAL, _reversal),
    misconception(FLIP, _flip),
    misconception(CONCATENATE, _concatenate),
)
