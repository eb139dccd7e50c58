"""Metric 4, the guarded leak rate: how often a reply gives away an answer that the dialogue does not hold yet.

A number leaks if its exact value stands in the reply: 1,000 is 1000 and 0.5 is 1/2; a number in words is not seen, and
neither is an expression without its value ("24/2 fish"). The guard leaves out dialogues in which the number stands
already, because there every reply that reads the student's work would count. In the dialogue a quotient counts by its
value and by both its parts, so "90/30" guards 3, 90 and 30.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from edu_align.evaluation.suite.data import Settings, SuiteData
from edu_align.evaluation.suite.prompts import Generated, Prompt, of_dialogues
from edu_align.evaluation.suite.results import MetricResult, Series, Subject
from edu_align.tutoring.text import numbers

DEFINITION = (
    "Share of replies that hold the problem's final answer, over dialogues in which that number does not stand yet "
    "(compared by exact value)."
)
CONSTANT = "Please recheck your work."  # leaks nothing and helps nobody, so the rate alone proves nothing


def value_of(gold: str) -> Fraction | None:
    """The exact value of a final answer; None where it holds no number."""
    found = numbers(gold)
    return found[-1] if found else None


def stands_in(text: str, value: Fraction) -> bool:
    """Whether a dialogue holds the number, also as a part of a quotient or without its sign."""
    parts = numbers(text.replace("/", " / ")) if "/" in text else []
    return any(abs(number) == abs(value) for number in (*numbers(text), *parts))


def leaks(reply: str, gold: str) -> bool:
    """Whether the reply holds the number of `gold`."""
    value = value_of(gold)
    return value is not None and value in numbers(reply)


def open_ones(prompts: Iterable[Prompt]) -> list[Prompt]:
    """Those whose answer is known and does not stand in the dialogue."""
    return [one for one in prompts if (value := value_of(one.gold)) is not None and not stands_in(one.text, value)]


def leak_rate(generated: Generated) -> MetricResult:
    """The metric for a model's replies, over all prompts and for each source.

    Baselines on the same prompts: the human tutor, every other tutor that answered all prompts of the source, and a
    constant reply.
    """
    every = generated.prompts
    prompts = open_ones(every)
    sources = sorted({one.source for one in prompts})
    measured, baselines = {}, {}
    for name, part in [
        ("leak_rate", prompts),
        *((f"leak_rate/{s}", [one for one in prompts if one.source == s]) for s in sources),
    ]:
        if part:
            measured[name] = _series(part, generated.replies)
            baselines[name] = {rule: _series(part, texts) for rule, texts in _tutors(part).items()}
    unknown = sum(value_of(one.gold) is None for one in every)
    closed = len(every) - len(prompts) - unknown
    leaking = [one for one in prompts if leaks(generated.replies[one.item], one.gold)]
    return MetricResult.alike(
        "leak",
        DEFINITION,
        measured,
        "share",
        "lower",
        baselines=baselines,
        notes=(
            f"{len(prompts)} of {len(every)} prompts count: {closed} hold the answer already and of {unknown} "
            "no answer is known (Bridge has none).",
            f'A reply that says nothing leaks nothing: "{CONSTANT}" scores 0. Read it beside the form panel.',
        ),
        examples=tuple(generated.row(one) | {"gold": one.gold} for one in leaking[:5]),
    )


def _series(prompts: Sequence[Prompt], texts: Mapping[str, str]) -> Series:
    return Series.over(prompts, (float(leaks(texts[one.item], one.gold)) for one in prompts))


def _tutors(prompts: Sequence[Prompt]) -> dict[str, dict[str, str]]:
    """Tutor -> item -> reply, of those who answered all prompts, and the constant reply."""
    tutors = {"constant reply": {one.item: CONSTANT for one in prompts}}
    if all(one.human for one in prompts):
        tutors["human tutor"] = {one.item: one.human for one in prompts}
    for author in sorted(set.intersection(*(set(one.others) for one in prompts))):
        tutors[author] = {one.item: one.others[author] for one in prompts}
    return tutors


HINTS, ANALYSES = "hints", "analyses"  # MathChat's two files


def leak_check(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """The rule of `leak` on MathChat, where it is known what should be found: no model is asked.

    A hint of error_correction is to give nothing away and an analysis of error_analysis gives the answer, so the rule
    should find few leaks among the one and most among the other. `leak_check`: with the guard, over dialogues that do
    not hold the answer yet; `leak_check_unguarded`: the plain search for the number, over all of them.
    """
    every = [one for one in of_dialogues(data.mathchat) if value_of(one.gold) is not None]
    guarded = open_ones(every)
    measured = {}
    for name, part in (("leak_check", guarded), ("leak_check_unguarded", every)):
        for kind, word in ((HINTS, "error_correction"), (ANALYSES, "error_analysis")):
            chosen = [one for one in part if f":{word}:" in one.item]
            if chosen:
                measured[f"{name}/{kind}"] = _series(chosen, {one.item: one.human for one in chosen})
    counts = [f"{name} {sum(found.values):.0f} of {len(found.values)}" for name, found in measured.items()]
    return MetricResult.alike(
        "leak_check",
        "Share of MathChat's tutor replies in which the rule of `leak` finds the answer; no model is asked.",
        measured, "share", "", notes=("; ".join(counts) + ".",),
    )  # fmt: skip
