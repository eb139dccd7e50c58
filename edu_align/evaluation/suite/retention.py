"""Metric 8, retention: does the model still do mathematics? On GSM8K's test problems (Cobbe et al. 2021, 2110.14168).

Any model can be asked which of four worked solutions is likeliest; they differ in the result of the last step only. The
wrong results are plausible and the same for every model and seed. A model that solves such problems (7B and larger) can
be asked for the answer itself.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Any

from edu_align.data.questions import clean, problem_key
from edu_align.data.readers import Row, iter_rows
from edu_align.data.sources.load import source_files
from edu_align.evaluation.preference import first_place
from edu_align.evaluation.suite.data import Settings, SuiteData
from edu_align.evaluation.suite.prompts import Prompt, generate
from edu_align.evaluation.suite.reply_text import swapped, value
from edu_align.evaluation.suite.results import MetricResult, Series, Subject
from edu_align.records import Message
from edu_align.tutoring.contexts import num
from edu_align.tutoring.text import numbers
from edu_align.utils.hashing import sha256

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
    key = sha256(problem)
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


MOST = 200  # problems that are asked by default
NEW_TOKENS = 256  # of a solution that the model writes itself
ASK = "Solve the problem step by step. End with a line: The answer is <number>."
_ANSWER_IS = re.compile(r"the answer is", re.IGNORECASE)


def retention(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Metric 8: share of GSM8K's test problems whose gold solution is likelier than three with a wrong last result.

    Problems whose question any run of the chain, or any source's training side, has seen are left out. Chance is 1/4.
    """
    return by_likelihood(subject, _problems(data), _limit(settings))


def retention_exact(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Metric 8 for models that solve such problems: share of them whose final answer the model's solution reaches.

    On request only (`evaluation.metrics=[retention_exact]`): up to 256 tokens a problem, near 0 for small models.
    """
    return exact_match(subject, _problems(data), _limit(settings))


def _problems(data: SuiteData) -> list[Problem]:
    """Those of the official test file whose question is in `data.gsm8k`, which leaves out all that training saw."""
    wanted = {problem_key(record.meta["problem"]) for record in data.gsm8k}
    files = source_files("gsm8k_socratic", data.data_root, data.outputs_root)
    rows = (row for file in files if file.stem.startswith("test") for row in iter_rows(file))
    return [one for one in problems_of(rows) if one.group in wanted]


def _limit(settings: Settings) -> int:
    return MOST if settings.max_groups is None else min(MOST, settings.max_groups)


def by_likelihood(subject: Subject, problems: Sequence[Problem], limit: int | None = MOST) -> MetricResult:
    """Share of problems whose gold solution is likelier (summed log-probability) than all perturbed ones.

    The first `limit` problems, by content hash, are asked. Ties share the point.
    """
    asked = list(problems[:limit])
    rows = [(_prompt(one.problem), [one.solution(answer) for answer in one.answers]) for one in asked]
    points = [first_place([logp for logp, _ in scored]) for scored in subject.score(rows)]
    chance = Series.over(asked, [1 / (1 + WRONG)] * len(asked))

    def least(size: Callable[[str], Any]) -> Series:
        """The rule that picks the answer of the smallest size."""
        return Series.over(asked, [first_place([-float(size(answer)) for answer in one.answers]) for one in asked])

    name = "retention/likelihood"
    return MetricResult.alike(
        "retention", "GSM8K test: share of problems whose gold solution is likelier than three with a wrong result.",
        {name: Series.over(asked, points)}, "share", "higher",
        baselines={name: {"chance": chance, "shortest": least(len), "smallest": least(Fraction)}},
        notes=(f"{len(asked)} of {len(problems)} problems, those of the smallest content hash.",),
        examples=tuple({"problem": one.problem, "answers": list(one.answers)} for one in asked[:5]),
    )  # fmt: skip


def exact_match(
    subject: Subject, problems: Sequence[Problem], limit: int | None = MOST, max_new_tokens: int = NEW_TOKENS
) -> MetricResult:
    """Share of problems that the model solves itself: the number behind its last "the answer is", else its last one."""
    part = list(problems[:limit])
    asked = [Prompt(one.item, one.group, "gsm8k", _prompt(f"{one.problem}\n\n{ASK}"), one.answers[0]) for one in part]
    made = generate(subject, asked, max_new_tokens)
    name = "retention/exact_match"
    hits = [float(final(made.replies[one.item]) == Fraction(one.answers[0])) for one in part]
    copied = [float(numbers(one.problem)[-1:] == [Fraction(one.answers[0])]) for one in part]
    return MetricResult.alike(
        "retention_exact", "GSM8K test: share of problems whose final answer the model's own greedy solution reaches.",
        {name: Series.over(part, hits)}, "share", "higher",
        baselines={name: {"last number of the problem": Series.over(part, copied)}},
        notes=(f"{len(part)} of {len(problems)} problems; at most {max_new_tokens} tokens a solution.",),
        examples=tuple(made.row(one) | {"gold": one.gold} for one in asked[:5]),
    )  # fmt: skip


def final(reply: str) -> Fraction | None:
    """The number that a solution comes to; None where it holds none."""
    ends = [match.end() for match in _ANSWER_IS.finditer(reply)]
    behind = numbers(reply[ends[-1] :])[:1] if ends else []
    found = behind or numbers(reply)[-1:]
    return found[0] if found else None


def _prompt(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)
