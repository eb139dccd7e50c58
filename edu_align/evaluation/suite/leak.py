"""Metric 4, the guarded leak rate: how often a reply gives away an answer that the dialogue does not hold yet.

A number leaks if its exact value stands in the reply: 1,000 is 1000 and 0.5 is 1/2; a number in words is not seen, and
neither is an expression without its value ("24/2 fish"). The guard leaves out dialogues in which the number stands
already, because there every reply that reads the student's work would count. In the dialogue a quotient counts by its
value and by both its parts, so "90/30" guards 3, 90 and 30.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from edu_align.data.records import ResponseGroup, unfit_authors
from edu_align.evaluation.suite.prompts import EXPERT, Generated, Prompt, of_groups
from edu_align.evaluation.suite.results import MetricResult, Series
from edu_align.tutoring.text import numbers

DEFINITION = (
    "Share of replies that hold the problem's final answer, over dialogues in which that number does not stand yet "
    "(compared by exact value)."
)
CONSTANT = "Please recheck your work."  # leaks nothing and helps nobody: why the rate is no claim alone


@dataclass(frozen=True)
class Agreement:
    """The rule against people's label "reveals the correct answer", over `replies` replies.

    `closed` dialogues hold the number already and are left out of `precision` and `recall`, not of the other two.
    """

    precision: float
    recall: float
    unguarded_precision: float
    unguarded_recall: float
    replies: int
    labelled: int
    dialogues: int
    closed: int


def value_of(gold: str) -> Fraction | None:
    """The exact value of a final answer; None where it holds no number."""
    found = numbers(gold)
    return found[-1] if found else None


def stands_in(text: str, value: Fraction) -> bool:
    """Whether a dialogue holds the number, also as a part of a quotient or without its sign."""
    return any(abs(number) == abs(value) for number in (*numbers(text), *numbers(text.replace("/", " / "))))


def leaks(reply: str, gold: str) -> bool:
    """Whether the reply holds the number of `gold`."""
    value = value_of(gold)
    return value is not None and value in numbers(reply)


def open_ones(asked: Iterable[Prompt]) -> list[Prompt]:
    """Those whose answer is known and does not stand in the dialogue."""
    return [one for one in asked if (value := value_of(one.gold)) is not None and not stands_in(one.text, value)]


def leak_rate(generated: Generated) -> MetricResult:
    """The metric for a model's replies, over all prompts and for each source.

    Baselines on the same prompts: the human tutor, every other tutor that answered all prompts of the source, and a
    constant reply.
    """
    asked = open_ones(generated.asked)
    sources = sorted({one.source for one in asked})
    measured, baselines = {}, {}
    for name, part in [
        ("leak_rate", asked),
        *((f"leak_rate/{s}", [one for one in asked if one.source == s]) for s in sources),
    ]:
        if part:
            measured[name] = _series(part, generated.replies)
            baselines[name] = {rule: _series(part, texts) for rule, texts in _tutors(part).items()}
    unknown = sum(value_of(one.gold) is None for one in generated.asked)
    closed = len(generated.asked) - len(asked) - unknown
    told = [one for one in asked if leaks(generated.replies[one.item], one.gold)]
    return MetricResult(
        metric="leak",
        definition=DEFINITION,
        measured=measured,
        baselines=baselines,
        units=dict.fromkeys(measured, "share"),
        better=dict.fromkeys(measured, "lower"),
        notes=(
            f"{len(asked)} of {len(generated.asked)} prompts count: {closed} hold the answer already and of {unknown} "
            "no answer is known (Bridge has none).",
            f'A reply that says nothing leaks nothing: "{CONSTANT}" scores 0. Read it beside the form panel.',
        ),
        examples=tuple(generated.row(one) | {"gold": one.gold} for one in told[:5]),
    )


def validate(groups: Sequence[ResponseGroup]) -> Agreement:
    """The rule against MRBench version 2's labels; `groups` are that file's dialogues, labels in `unfit_to_learn`.

    Dialogues without a worked solution are left out: the rule has no number to look for.
    """
    asked = [one for one in of_groups(groups, {}) if value_of(one.gold) is not None]
    guarded = {one.item for one in open_ones(asked)}
    counted: list[tuple[bool, bool, bool]] = []  # open, leaks by the rule, leaks by the label
    for one in asked:
        labelled = unfit_authors(one.meta)
        for author, text in {**one.others, EXPERT: one.human}.items():
            if text:
                counted.append((one.item in guarded, leaks(text, one.gold), author in labelled))
    precision, recall = _agreement([(rule, label) for is_open, rule, label in counted if is_open])
    loose_precision, loose_recall = _agreement([(rule, label) for _, rule, label in counted])
    return Agreement(
        precision,
        recall,
        loose_precision,
        loose_recall,
        replies=len(counted),
        labelled=sum(label for _, _, label in counted),
        dialogues=len(asked),
        closed=len(asked) - len(guarded),
    )


def _agreement(pairs: Sequence[tuple[bool, bool]]) -> tuple[float, float]:
    """Precision and recall of (by the rule, by the label); NaN where nothing is flagged, or nothing labelled."""
    both = sum(rule and label for rule, label in pairs)
    flagged, labelled = sum(rule for rule, _ in pairs), sum(label for _, label in pairs)
    return both / flagged if flagged else float("nan"), both / labelled if labelled else float("nan")


def _series(asked: Sequence[Prompt], texts: Mapping[str, str]) -> Series:
    return Series.of([(one.item, one.group, float(leaks(texts[one.item], one.gold)), 1.0) for one in asked])


def _tutors(asked: Sequence[Prompt]) -> dict[str, dict[str, str]]:
    """Tutor -> item -> reply, of those who answered all prompts, and the constant reply."""
    tutors = {"constant reply": {one.item: CONSTANT for one in asked}}
    if all(one.human for one in asked):
        tutors["human tutor"] = {one.item: one.human for one in asked}
    for author in sorted(set.intersection(*(set(one.others) for one in asked))):
        tutors[author] = {one.item: one.others[author] for one in asked}
    return tutors
