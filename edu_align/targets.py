"""What the tutor is after, as sentences: each target, the number that was measured, and whether it is met."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edu_align.evaluation.suite.results import MetricResult
from edu_align.evaluation.tables import cell

Row = dict[str, Any]
Paired = Callable[[Any, Any], Row | None]  # two series -> the interval of their difference
BALANCED, EFFECT = "pair_accuracy_balanced/implicit", "dialogue_effect/implicit"
SURFACE, OVERLAP, PEOPLE = "surface_logistic", "idf_overlap", "human tutor"
LEAST_BALANCED, LEAST_EFFECT, LEAST_SELECTION = 0.70, 0.05, 7.1
MOST_LEAKS, MOST_LOSS = 0.05, 0.02


def targets(rows: Sequence[Row], results: Mapping[str, MetricResult], label: str, paired: Paired) -> list[str]:
    """One sentence for every target whose number is among `rows` (see `summarise`), for the model `label`.

    `results` are that model's, `paired` makes a difference with its interval. Targets were fixed before
    anything was measured, and are those of experiments/tutor.
    """
    own = {row["name"]: row for row in rows if row["label"] == label}
    return [
        f"target {'MET' if met else 'MISSED'}: {said}"
        for check in (_balanced, _effect, _context, _selection, _leaks, _form, _likelihood, _retention)
        for met, said in check(own, results, paired)
    ]


Found = Iterator[tuple[bool, str]]
Rows = Mapping[str, Row]
Results = Mapping[str, MetricResult]


def _balanced(own: Rows, results: Results, paired: Paired) -> Found:
    if BALANCED in own:
        row = own[BALANCED]
        yield row["value"] >= LEAST_BALANCED, f"{BALANCED} {cell(row)}, aimed at {LEAST_BALANCED:.2f}"
        yield from _beside(BALANCED, SURFACE, own, results, paired)


def _effect(own: Rows, _results: Results, _paired: Paired) -> Found:
    if EFFECT in own:
        row = own[EFFECT]
        sure = row["low"] is not None and row["low"] > 0
        yield (
            row["value"] >= LEAST_EFFECT,
            f"{EFFECT} {cell(row)}, at least {LEAST_EFFECT:.2f}; {'told' if sure else 'not told'} from 0",
        )


def _context(own: Rows, results: Results, paired: Paired) -> Found:
    for name in ("context_use/mean_logp", "context_use/implicit"):
        yield from _beside(name, OVERLAP, own, results, paired)


def _selection(own: Rows, _results: Results, _paired: Paired) -> Found:
    if "selection_score/implicit" in own:
        row = own["selection_score/implicit"]
        yield row["value"] > LEAST_SELECTION, f"selection_score/implicit {cell(row)} of 8, above {LEAST_SELECTION}"


def _leaks(own: Rows, _results: Results, _paired: Paired) -> Found:
    if "leak_rate" in own:
        row = own["leak_rate"]
        yield row["value"] <= MOST_LEAKS, f"leak_rate {cell(row)}, at most {MOST_LEAKS:.2f}"


def _form(own: Rows, results: Results, _paired: Paired) -> Found:
    if "question_rate" in own:
        row, people = own["question_rate"], own["question_rate"]["baselines"][PEOPLE]
        inside = people["low"] is not None and people["low"] <= row["value"] <= people["high"]
        yield inside, f"question_rate {cell(row)}, inside people's interval {cell(people)}"
    if "words" in own:
        row = own["words"]
        least, most = np.quantile(results["form"].baselines["words"][PEOPLE].values, (0.1, 0.9))
        yield (
            least <= row["value"] <= most,
            f"words {cell(row)}, between {least:.0f} and {most:.0f}, as 8 of 10 people's",
        )


def _likelihood(own: Rows, _results: Results, _paired: Paired) -> Found:
    for name, row in own.items():
        gap = row["difference_to_base"]
        if name.startswith("nats_per_token/") and gap is not None:
            yield (
                gap["high"] is not None and gap["high"] < 0,
                f"{name} {cell(row)}, minus base {cell(gap, '+')}, below 0",
            )


def _retention(own: Rows, _results: Results, _paired: Paired) -> Found:
    row = own.get("retention/likelihood")
    gap = row["difference_to_base"] if row else None
    if row and gap:
        said = f"retention/likelihood {cell(row)}, minus base {cell(gap, '+')}, at least -{MOST_LOSS:.2f}"
        yield gap["value"] >= -MOST_LOSS, said


def _beside(name: str, rule: str, own: Rows, results: Results, paired: Paired) -> Found:
    """Whether the interval of the difference to one rule lies above 0."""
    result = results[own[name]["metric"]] if name in own else None
    if result is None or rule not in result.baselines.get(name, {}):
        return
    gap = paired(result.measured[name], result.baselines[name][rule])
    if gap is not None:
        said = f"{name} {cell(own[name])}, minus the rule {rule} {cell(gap, '+')}, above 0"
        yield gap["low"] is not None and gap["low"] > 0, said
