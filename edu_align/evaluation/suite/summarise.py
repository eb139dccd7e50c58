"""From stored items to numbers with intervals, beside baselines and other models, on the very same items."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from edu_align.evaluation.bootstrap import Interval, difference, interval
from edu_align.evaluation.preference import CEILING
from edu_align.evaluation.suite.items import MetricResult, Series
from edu_align.utils.tables import cell

Row = dict[str, Any]
Results = Mapping[str, Mapping[str, MetricResult]]
SFT = "SFT"  # the label whose difference is shown apart
# Scorers whose reference is the model's own start, or its own base model: no difference between models is taken.
REWARDS = ("implicit", "implicit_from_base")


def summarise(
    results: Results,
    seed: int,
    samples: int = 2000,
    confidence: float = 0.95,
    parents: Mapping[str, str] | None = None,
) -> list[Row]:
    """One row for every number of every model, in the order of metrics, then numbers, then models.

    `results` is {label: {metric: result}}; the first label is the base model. `parents` maps a label to the SFT model
    that it started from; by default that is the one labelled "SFT", where there is one.

    A row holds `label`, `metric` (the stored file's name), `name` ("pair_accuracy_balanced/mean_logp"), `definition`,
    `value`, `low`, `high` (interval over resampled groups; None with one group), `n` (items of weight > 0), `groups`,
    `unit`, `better` ("higher", "lower" or ""), `baselines` {rule: {value, low, high}}, `strongest_baseline` (its name;
    the oracle is a ceiling and never that) and the paired differences `difference_to_strongest`, `difference_to_base`
    and `difference_to_sft` (this row minus the other, over the items that both have): {value, low, high, n, groups},
    None where there is no such row or no common item, and for implicit rewards, whose reference is each model's own.
    `verdict` is a sentence where the strongest baseline is not shown
    to be beaten, else "". `notes` and `examples` are the metric's.
    """
    spread = partial(interval, seed=seed, samples=samples, confidence=confidence)
    paired = partial(paired_difference, seed=seed, samples=samples, confidence=confidence)
    base = next(iter(results), "")
    rows = []
    for metric, name in _names(results):
        rules = _baselines(results, metric, name, spread)
        for label, metrics in results.items():
            if metric not in metrics or not any(metrics[metric].measured.get(name, _NOTHING).weights):
                continue
            result = metrics[metric]
            series = result.measured[name]
            row: Row = {"label": label, "metric": metric, "name": name, "definition": result.definition}
            row |= _interval(spread(series.values, series.groups, weights=series.weights))
            row |= {"unit": result.units.get(name, ""), "better": result.better.get(name, "")}
            row |= _beside(result, name, rules, paired)
            parent = (parents or {}).get(label, SFT)
            own_reference = scorer_of(name) in REWARDS
            for which, other in (("base", base), ("sft", parent)):
                gap = None if own_reference else _other(results, other, label, metric, name, paired)
                row[f"difference_to_{which}"] = gap
            row["verdict"] = _verdict(row)
            rows.append({**row, "notes": list(result.notes), "examples": list(result.examples)})
    return rows


_NOTHING = Series((), (), (), ())


def scorer_of(name: str) -> str:
    """The scorer of a number: "implicit" of "pair_accuracy/implicit"."""
    return name.rpartition("/")[2]


def _names(results: Results) -> list[tuple[str, str]]:
    """(metric, number) of all models, in the order of first appearance, numbers of one metric together."""
    found: dict[str, dict[str, None]] = {}
    for metrics in results.values():
        for metric, result in metrics.items():
            found.setdefault(metric, {}).update(dict.fromkeys(result.measured))
    return [(metric, name) for metric, names in found.items() for name in names]


def _baselines(results: Results, metric: str, name: str, spread: Any) -> dict[str, Row]:
    """Every rule's value and interval. Rules are the same for all models, so the first one that has them is read."""
    for metrics in results.values():
        rules = metrics[metric].baselines.get(name) if metric in metrics else None
        if rules:
            return {
                rule: _interval(spread(series.values, series.groups, weights=series.weights))
                for rule, series in rules.items()
                if any(series.weights)
            }
    return {}


def _beside(result: MetricResult, name: str, rules: Mapping[str, Row], paired: Any) -> Row:
    """The baselines, and the paired difference to the strongest one that this model's result holds."""
    sign = -1.0 if result.better.get(name) == "lower" else 1.0
    own = result.baselines.get(name, {})
    candidates = [rule for rule in rules if rule != CEILING and rule in own]
    row: Row = {"baselines": dict(rules), "strongest_baseline": None, "difference_to_strongest": None}
    if candidates and result.better.get(name):
        strongest = max(candidates, key=lambda rule: sign * float(rules[rule]["value"]))
        row["strongest_baseline"] = strongest
        row["difference_to_strongest"] = paired(result.measured[name], own[strongest])
    return row


def _other(results: Results, other: str, label: str, metric: str, name: str, paired: Any) -> Row | None:
    if other == label or metric not in results.get(other, {}):
        return None
    beside = results[other][metric].measured.get(name)
    return paired(results[label][metric].measured[name], beside) if beside is not None else None


def paired_difference(a: Series, b: Series, seed: int, samples: int, confidence: float) -> Row | None:
    """a minus b over their common items, weighted as in `a`; None where they have none of weight > 0."""
    place = {item: i for i, item in enumerate(b.items)}
    both = [(i, place[item]) for i, item in enumerate(a.items) if item in place]
    weights = [a.weights[i] for i, _ in both]
    if not any(weights):
        return None
    gap = difference(
        [a.values[i] for i, _ in both],
        [b.values[j] for _, j in both],
        [a.groups[i] for i, _ in both],
        seed=seed,
        weights=weights,
        samples=samples,
        confidence=confidence,
    )
    return _interval(gap)


def _interval(found: Interval) -> Row:
    return {
        "value": found.mean,
        "low": None if math.isnan(found.low) else found.low,
        "high": None if math.isnan(found.high) else found.high,
        "n": found.n,
        "groups": found.clusters,
    }


def _verdict(row: Row) -> str:
    """A sentence for a number that is not shown to beat its strongest baseline."""
    gap, strongest = row["difference_to_strongest"], row["strongest_baseline"]
    if gap is None:
        return ""
    if gap["low"] is None:
        why = "all items belong to one group, so there is no interval"
    elif (gap["low"] > 0) if row["better"] == "higher" else (gap["high"] < 0):
        return ""
    else:
        why = f"difference {gap['value']:+.3f}, interval {gap['low']:+.3f} to {gap['high']:+.3f}"
    return f"{row['name']} {row['value']:.3f} is not shown to beat the baseline {strongest!r} ({why})."


def table(rows: Sequence[Row]) -> list[list[str]]:
    """Cells for a terminal: a line a number and model, the strongest baseline and the paired differences beside it."""
    lines = [["number", "model", "value", "n (groups)", "strongest baseline", "minus it", "minus base", "minus SFT"]]
    for row in rows:
        strongest = row["strongest_baseline"]
        rule = f"{strongest} {row['baselines'][strongest]['value']:.3f}" if strongest else "-"
        gaps = [cell(row[f"difference_to_{name}"], "+") for name in ("strongest", "base", "sft")]
        count = f"{row['n']} ({row['groups']})"
        lines.append([row["name"], row["label"], cell(row), count, rule, *gaps])
    return lines
