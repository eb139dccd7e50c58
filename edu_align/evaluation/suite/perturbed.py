"""Worked problems of GSM8K with a wrong last result: plausible, not the gold one, the same for every model and seed."""

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fractions import Fraction
from random import Random

from edu_align.data.read import Row
from edu_align.data.text import clean, problem_key
from edu_align.evaluation.suite.arithmetic import swapped, value
from edu_align.tutoring.contexts import num

WRONG = 3  # perturbed answers beside the gold one
HOLE = "\0"
_CALCULATION = re.compile(r"<<([^<>=]*)=([^<>]*)>>\s*([\d,]*\.?\d*)")
_CALCULATED = re.compile(r"<<[^<>]*>>")


@dataclass(frozen=True)
class Problem:
    """A problem, its worked solution with a hole wherever the last result stands, and what may stand in the holes.

    `answers`: the gold one first, then `WRONG` different numbers, all written alike.
    """

    item: str
    group: str
    problem: str
    holed: str
    answers: tuple[str, ...]

    def solution(self, answer: str) -> str:
        """The worked solution that comes to `answer`."""
        return f"{self.holed.replace(HOLE, answer)}\nThe answer is {answer}."


def problems_of(rows: Iterable[Row], seen: Collection[str] = ()) -> list[Problem]:
    """GSM8K's rows, plain or Socratic, as problems in the order of their content hashes.

        {"question": "3 bags of 4 nuts. 2 eaten?",
         "answer": "All? ** 3*4=<<3*4=12>>12\\nLeft? ** 12-2=<<12-2=10>>10\\n#### 10"}
        -> "3*4=12\\n12-2=_\\nThe answer is _." with 10 | 14 | 11 | 20

    Left out: problems whose key is in `seen` (what training has seen), and those whose last result is not the final
    answer, so that no place is known to put a wrong one. Raises UserError for a missing column.
    """
    found = []
    for row in rows:
        problem = clean(row.get("question", str))
        made = None if problem_key(problem) in seen else _problem(problem, row.get("answer", str))
        if made is not None:
            found.append(made)
    return sorted(found, key=lambda one: one.item)


def _problem(problem: str, answer: str) -> Problem | None:
    steps, _, gold_text = answer.partition("####")
    gold = value(gold_text.replace(",", "").strip())
    text = "\n".join(line.rpartition("**")[2].strip() for line in steps.strip().split("\n"))
    calculations = list(_CALCULATION.finditer(text))
    if gold is None or not calculations:
        return None
    last = calculations[-1]
    if value(last[2].replace(",", "")) != gold or value(last[3].replace(",", "")) != gold:
        return None
    key = hashlib.sha256(problem.encode()).hexdigest()
    wrong = wrong_answers(gold, last[1], Random(key))
    again = re.sub(rf"(?<![\d.,]){re.escape(last[3])}(?![\d]|[.,]\d)", HOLE, text[last.end() :])
    holed = clean(_CALCULATED.sub("", f"{text[: last.start()]}{HOLE}{again}"))
    return Problem(f"gsm8k:{key[:16]}", problem_key(problem), problem, holed, (num(gold), *map(num, wrong)))


def wrong_answers(gold: Fraction, calculation: str, rng: Random) -> tuple[Fraction, ...]:
    """`WRONG` plausible numbers, none of them `gold`: one comes from the last step with an operation swapped, where
    that gives a number of like size and kind; the others are off by one in one digit.
    """
    results = [number for number in swapped(calculation) if _plausible(number, gold)]
    digits = _off_by_one(num(gold))
    rng.shuffle(results)
    rng.shuffle(digits)
    spare = [gold * 10, gold + 10, gold + 2, gold + 3]
    order = dict.fromkeys([*results[:1], *digits, *results[1:], *spare])
    return tuple(number for number in order if number != gold)[:WRONG]


def _plausible(number: Fraction, gold: Fraction) -> bool:
    whole = number.denominator == 1 if gold.denominator == 1 else (100 * number).denominator == 1
    return whole and number > 0 and abs(gold) <= 20 * number and number <= 20 * abs(gold)


def _off_by_one(text: str) -> list[Fraction]:
    """The number with one digit one up or one down; a first digit does not become 0."""
    found = []
    for place, sign in enumerate(text):
        for other in (int(sign) - 1, int(sign) + 1) if sign.isdigit() else ():
            leading = place == 0 and other == 0 and len(text) > 1
            if 0 <= other <= 9 and not leading:
                found.append(Fraction(f"{text[:place]}{other}{text[place + 1 :]}"))
    return found
