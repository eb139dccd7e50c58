"""What a cross-fitted model is worth: its numbers over all folds, minus each rule, minus the models before it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any

from edu_align.evaluation.suite.results import MetricResult, Series
from edu_align.evaluation.suite.summarise import REWARDS, Row, bounds_of, paired_difference, scorer_of, summarise
from edu_align.utils.tables import cell

Results = dict[str, dict[str, MetricResult]]  # label -> metric -> result, the base first, the cross-fitted model last
BAG = "bag_of_words"
LIKELIHOOD = "mean_logp"
OWN_REWARDS = (*REWARDS, "reward")  # scorers of which a model that it came from has no equal
NO_DIALOGUE = "_no_dialogue"
EFFECT = "dialogue_effect"
Paired = Callable[[Series, Series], Row | None]


def rows_of(results: Results, folds: Sequence[Results], seed: int, samples: int, confidence: float) -> list[Row]:
    """The rows of `summarise` over the pooled `results`, each with what it is minus others on the same items.

    `minus` has {"value", "low", "high", "n", "groups", "of"} by `base`, by the label of each model in between, by
    `rule <name>` and by `no dialogue`; `of` names the other number. A reward (`implicit`, `reward`) is the model's own:
    base and parents are compared by their likelihood of the same replies. `folds`: the value in each fold, by the
    fold's own weights; None where it has none.
    """
    found = []
    for row in summarise(results, seed, samples, confidence):
        label, metric, name = row["label"], row["metric"], row["name"]
        bounds = bounds_of(results, metric, name)
        paired = partial(paired_difference, seed=seed, samples=samples, confidence=confidence, bounds=bounds)
        kept = {key: value for key, value in row.items() if key not in ("examples", "difference_to_sft", "definition")}
        kept["minus"] = _minus(results, label, metric, name, paired)
        kept["folds"] = [_value(fold, label, metric, name) for fold in folds]
        found.append(kept)
    return found


def _minus(results: Results, label: str, metric: str, name: str, paired: Paired) -> dict[str, Row]:
    own = results[label][metric]
    others: dict[str, tuple[str, Series]] = {}
    earlier = list(results)[: list(results).index(label)]
    for other in earlier:
        measured = results[other][metric].measured if metric in results[other] else {}
        alike = name if scorer_of(name) not in OWN_REWARDS else f"{name.rpartition('/')[0]}/{LIKELIHOOD}"
        if alike in measured:
            others[other] = (f"{other} {alike}", measured[alike])
    others |= {f"rule {rule}": (rule, series) for rule, series in own.baselines.get(name, {}).items()}
    stem, _, scorer = name.rpartition("/")
    bare = f"{stem}{NO_DIALOGUE}/{scorer}"
    if bare in own.measured:
        others["no dialogue"] = (bare, own.measured[bare])
    gaps = {key: (of, paired(own.measured[name], series)) for key, (of, series) in others.items()}
    return {key: {**gap, "of": of} for key, (of, gap) in gaps.items() if gap is not None}


def _value(fold: Mapping[str, Mapping[str, MetricResult]], label: str, metric: str, name: str) -> float | None:
    result = fold.get(label, {}).get(metric)
    series = result.measured.get(name) if result else None
    return fmean(series.values, series.weights) if series is not None and any(series.weights) else None


def table(rows: Sequence[Row], labels: Sequence[str]) -> list[list[str]]:
    """Cells of the numbers with the dialogue; that without it is the last column. `labels`: those of all models."""
    before = list(labels)[:-1]
    head = ["number", "model", "value", "n (groups)", "minus bag of words", "strongest rule", "minus it"]
    lines = [[*head, *(f"minus {label}" for label in before), "minus no dialogue"]]
    for row in rows:
        if NO_DIALOGUE in row["name"] or EFFECT in row["name"]:
            continue
        minus, strongest = row["minus"], row["strongest_baseline"]
        rule = f"{strongest} {row['baselines'][strongest]['value']:.3f}" if strongest else "-"
        gaps = [minus.get(key) for key in (f"rule {BAG}", f"rule {strongest}", *before, "no dialogue")]
        cells = [cell(gap, "+") for gap in gaps]
        count = f"{row['n']} ({row['groups']})"
        lines.append([row["name"], row["label"], cell(row), count, cells[0], rule, *cells[1:]])
    return lines


def json_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as they are kept: a sentence that every row of a metric repeats stands once, with the notes."""
    return [{key: value for key, value in row.items() if key != "notes"} for row in rows]
