"""The built-in corpus's own metrics on generated replies: mistake found, mistake located, answer leaked, sums right.

The corpus knows the right and wrong answer and the place of every mistake, so replies can be read by rules; `free_text`
says what those can and cannot see. Misconceptions and wordings that training never showed are kept apart from those it
did: a model that is good on seen wordings only has learnt phrases.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from edu_align.evaluation.suite import free_text
from edu_align.evaluation.suite.corpus_prompts import CELLS, SHOWN, SOURCE
from edu_align.evaluation.suite.generated import Generated
from edu_align.evaluation.suite.items import MetricResult, Series
from edu_align.evaluation.suite.leak import CONSTANT
from edu_align.evaluation.suite.prompts import Asked

Mark = Callable[[str, Asked], bool | None]  # None: the reply or prompt does not count

MARKS: Mapping[str, tuple[Mark, str]] = {
    "mistake_found": (lambda text, one: free_text.finds(text, one.text, one.meta), "higher"),
    "mistake_located": (lambda text, one: free_text.locates(text, one.meta), "higher"),
    "answer_leaked": (lambda text, one: free_text.reveals(text, one.text, one.meta), "lower"),
    "arithmetic_correct": (lambda text, one: free_text.calculates(text, one.text), "higher"),
}
NOTES = (
    "held_out: misconceptions and wordings of the measured split; seen_phrasing, seen_misconception and seen have the "
    "one, the other or both from the training split. No problem is one that was trained on.",
    "Read off the text by rules: a mistake that is pointed at in words of the model's own counts as missed. "
    'Any objection counts as found ("Please recheck your work." scores 1), so read it beside mistake_located.',
    "answer_leaked leaves out dialogues that hold the answer; arithmetic_correct counts replies with an equation of "
    "their own only, so it is over other replies for each model, and differences are over those that two share.",
)


def corpus_metrics(generated: Generated) -> MetricResult:
    """Each of MARKS over the corpus's prompts, by cell; "mistake_found" alone is that of the `held_out` cell.

    Baselines on the same prompts: a constant reply, a copy of the student's last turn, and the corpus's own guiding and
    agreeing replies, the first of which is what the corpus holds up as best.
    """
    measured, baselines, better = {}, {}, {}
    for cell in CELLS:
        part = [one for one in generated.asked if one.source == SOURCE and one.meta["cell"] == cell]
        rules = {
            "constant reply": {one.item: CONSTANT for one in part},
            "copy of the student": {one.item: one.turns[-1].content for one in part},
            **{f"{kind} reply": {one.item: one.others[kind] for one in part} for kind in SHOWN},
        }
        for mark, (rule, direction) in MARKS.items():
            series = _series(part, generated.replies, rule)
            if series.items:
                name = mark if cell == "held_out" else f"{mark}/{cell}"
                measured[name], better[name] = series, direction
                ruled = {kind: _series(part, texts, rule) for kind, texts in rules.items()}
                baselines[name] = {kind: values for kind, values in ruled.items() if values.items}
    return MetricResult(
        metric="corpus",
        definition="What replies to fresh problems of the built-in corpus do, read off their text by exact rules.",
        measured=measured,
        baselines=baselines,
        units=dict.fromkeys(measured, "share"),
        better=better,
        notes=NOTES,
        examples=tuple(
            generated.row(one) | {name: rule(generated.replies[one.item], one) for name, (rule, _) in MARKS.items()}
            for one in generated.asked[:8]
            if one.source == SOURCE
        ),
    )


def by_group(series: Series) -> dict[str, tuple[float, float]]:
    """Cluster (here: misconception) -> weighted mean and total weight of its items; those of weight 0 are left out."""
    totals: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for group, value, weight in zip(series.groups, series.values, series.weights, strict=True):
        totals[group][0] += value * weight
        totals[group][1] += weight
    return {group: (total / weight, weight) for group, (total, weight) in sorted(totals.items()) if weight}


def _series(asked: Sequence[Asked], texts: Mapping[str, str], rule: Mark) -> Series:
    """Those that count: two models are compared on the items that both have."""
    marks = [(one, rule(texts[one.item], one)) for one in asked]
    return Series.of([(one.item, one.group, float(mark), 1.0) for one, mark in marks if mark is not None])
