"""Metric 8, retention: does the model still do mathematics? On GSM8K's test problems (Cobbe et al. 2021, 2110.14168).

Every model can be asked which of four worked solutions is likeliest, which differ in the result of the last step only;
a model that solves such problems (7B and larger) can be asked for the answer itself.
"""

import re
from collections.abc import Sequence
from fractions import Fraction

from edu_align.data.records import Message
from edu_align.evaluation.scored import first_place
from edu_align.evaluation.suite.generated import generate
from edu_align.evaluation.suite.items import MetricResult, Series, Subject
from edu_align.evaluation.suite.perturbed import WRONG, Problem
from edu_align.evaluation.suite.prompts import Asked
from edu_align.tutoring.text import numbers

MOST = 200  # problems that are asked by default
NEW_TOKENS = 256  # of a solution that the model writes itself
ASK = "Solve the problem step by step. End with a line: The answer is <number>."
_SAID = re.compile(r"the answer is", re.IGNORECASE)


def retention(subject: Subject, problems: Sequence[Problem], most: int | None = MOST) -> MetricResult:
    """Share of problems whose gold solution is likelier (summed log-probability) than all perturbed ones.

    The first `most` problems, by content hash, are asked. Ties share the point.
    """
    asked = list(problems[:most])
    rows = [(_prompt(one.problem), [one.solution(answer) for answer in one.answers]) for one in asked]
    points = [first_place([logp for logp, _ in scored]) for scored in subject.score(rows)]
    name = "retention/likelihood"
    return MetricResult(
        metric="retention",
        definition="GSM8K test: share of problems whose gold solution is likelier than three with a wrong result.",
        measured={name: _series(asked, points)},
        baselines={
            name: {
                "chance": _series(asked, [1 / (1 + WRONG)] * len(asked)),
                "shortest": _series(asked, [first_place([-float(len(a)) for a in one.answers]) for one in asked]),
                "smallest": _series(asked, [first_place([-float(Fraction(a)) for a in one.answers]) for one in asked]),
            }
        },
        units={name: "share"},
        better={name: "higher"},
        notes=(f"{len(asked)} of {len(problems)} problems, those of the smallest content hash.",),
        examples=tuple({"problem": one.problem, "answers": list(one.answers)} for one in asked[:5]),
    )


def exact_match(
    subject: Subject,
    problems: Sequence[Problem],
    most: int | None = MOST,
    max_new_tokens: int = NEW_TOKENS,
) -> MetricResult:
    """Share of problems that the model solves itself: the number behind its last "the answer is", else its last one."""
    part = list(problems[:most])
    asked = [Asked(one.item, one.group, "gsm8k", _prompt(f"{one.problem}\n\n{ASK}"), one.answers[0]) for one in part]
    made = generate(subject, asked, max_new_tokens)
    name = "retention/exact_match"
    hits = [float(final(made.replies[one.item]) == Fraction(one.answers[0])) for one in part]
    copied = [float(numbers(one.problem)[-1:] == [Fraction(one.answers[0])]) for one in part]
    return MetricResult(
        metric="retention_exact",
        definition="GSM8K test: share of problems whose final answer the model's own greedy solution reaches.",
        measured={name: _series(part, hits)},
        baselines={name: {"last number of the problem": _series(part, copied)}},
        units={name: "share"},
        better={name: "higher"},
        notes=(f"{len(part)} of {len(problems)} problems; at most {max_new_tokens} tokens a solution.",),
        examples=tuple(made.row(one) | {"gold": one.gold} for one in asked[:5]),
    )


def final(reply: str) -> Fraction | None:
    """The number that a solution comes to; None where it holds none."""
    said = [match.end() for match in _SAID.finditer(reply)]
    behind = numbers(reply[said[-1] :])[:1] if said else []
    found = behind or numbers(reply)[-1:]
    return found[0] if found else None


def _prompt(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


def _series(problems: Sequence[Problem], values: Sequence[float]) -> Series:
    return Series.of([(one.item, one.group, x, 1.0) for one, x in zip(problems, values, strict=True)])
