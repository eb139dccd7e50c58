"""From stored items to numbers with intervals, beside baselines and other models, on the very same items.

Several seeds of one model are averaged item by item first, so that intervals resample questions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any

from edu_align.evaluation.bootstrap import SHARE, Bounds, Interval, difference, interval
from edu_align.evaluation.preference import CEILING, not_shown
from edu_align.evaluation.suite.results import MetricResult, Series
from edu_align.utils.errors import UserError
from edu_align.utils.tables import cell

Row = dict[str, Any]
Results = Mapping[str, Mapping[str, MetricResult]]
SFT = "SFT"  # the label whose difference is shown apart
# Scorers whose reference is the model's own start, or its own base model: no difference between models is taken.
REWARDS = ("implicit", "implicit_from_base")
# Between which values an item of a unit lies; a unit that is not here has no bounds.
BOUNDS: dict[str, Bounds] = {
    "share": SHARE, "difference of shares": (-1.0, 1.0), "score of 8": (0.0, 8.0), "of 2 points": (0.0, 2.0),
}  # fmt: skip


def summarise(
    results: Results, seed: int, samples: int = 2000, confidence: float = 0.95, parents: Mapping[str, str] | None = None
) -> list[Row]:
    """One row for every number of every model, in the order of metrics, then numbers, then models.

    `results` is {label: {metric: result}}; the first label is the base model. `parents` maps a label to the SFT model
    that it started from; by default that is the one labelled "SFT", where there is one.

    A row holds `label`, `metric` (the stored file's name), `name` ("pair_accuracy_balanced/mean_logp"), `definition`,
    `value`, `low`, `high` (interval over resampled groups; None where there is none, see `Interval`), `n` (items of
    weight > 0), `groups`, `unit`, `better` ("higher", "lower" or ""), `baselines` {rule: {value, low, high}},
    `strongest_baseline` (its name; the oracle is a ceiling and never that) and the paired differences
    `difference_to_strongest`, `difference_to_base` and `difference_to_sft` (this row minus the other, over the items
    that both have): {value, low, high, n, groups}, None where there is no such row or no common item, and for implicit
    rewards, whose reference is each model's own.
    `verdict` is a sentence where the strongest baseline is not shown to be beaten, else "".
    """
    base = next(iter(results), "")
    rows = []
    for metric, name in _names(results):
        bounds = bounds_of(results, metric, name)
        spread = partial(interval, seed=seed, samples=samples, confidence=confidence, bounds=bounds)
        paired = partial(paired_difference, seed=seed, samples=samples, confidence=confidence, bounds=bounds)
        rules = _baselines(results, metric, name, spread)
        for label, metrics in results.items():
            if metric not in metrics or not any(metrics[metric].measured.get(name, _NOTHING).weights):
                continue
            result = metrics[metric]
            series = result.measured[name]
            row: Row = {"label": label, "metric": metric, "name": name, "definition": result.definition}
            row |= _interval(spread(series.values, series.groups, weights=series.weights))
            row |= {"unit": result.units.get(name, ""), "better": result.better.get(name, "")}
            row |= _against_baselines(result, name, rules, paired)
            parent = (parents or {}).get(label, SFT)
            own_reference = scorer_of(name) in REWARDS
            for which, other in (("base", base), ("sft", parent)):
                gap = None if own_reference else _other(results, other, label, metric, name, paired)
                row[f"difference_to_{which}"] = gap
            row["verdict"] = _verdict(row)
            rows.append({**row, "notes": list(result.notes), "examples": list(result.examples)})
    return rows


_NOTHING = Series((), (), (), ())


def bounds_of(results: Results, metric: str, name: str) -> Bounds | None:
    """Between which values an item of this number lies, by its unit; None where nothing bounds it."""
    units = (metrics[metric].units.get(name) for metrics in results.values() if metric in metrics)
    return BOUNDS.get(next(filter(None, units), ""))


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


def _against_baselines(result: MetricResult, name: str, rules: Mapping[str, Row], paired: Any) -> Row:
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
    series = results[other][metric].measured.get(name)
    return paired(results[label][metric].measured[name], series) if series is not None else None


def paired_difference(
    a: Series, b: Series, seed: int, samples: int, confidence: float, bounds: Bounds | None = None
) -> Row | None:
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
        bounds=bounds,
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
    if gap["low"] is not None and (gap["low"] > 0 if row["better"] == "higher" else gap["high"] < 0):
        return ""
    return not_shown(row["name"], row["value"], strongest, gap)


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


def averaged(results: Sequence[Mapping[str, MetricResult]]) -> dict[str, MetricResult]:
    """{metric: result} whose items are means over `results`, one a seed, weighted as the seeds weight the item.

    Metrics, numbers and items that not every seed has are left out. Baselines are the first seed's: they do not depend
    on a model. An interval over such items says how far other questions could move the mean over these seeds; the
    spread between seeds is shown apart. Raises UserError for no result.
    """
    if not results:
        raise UserError("There is no result to average, got 0 seeds. Give at least one.")
    first, *others = results
    found = {}
    for metric, result in first.items():
        rest = [other[metric].measured for other in others if metric in other]
        if len(rest) == len(others):
            measured = {
                name: _mean_series([series, *(numbers[name] for numbers in rest)])
                for name, series in result.measured.items()
                if all(name in numbers for numbers in rest)
            }
            found[metric] = replace(result, measured=measured)
    return found


def _mean_series(series: Sequence[Series]) -> Series:
    """The items that all of them have, in the order of the first: sum(w x) / sum(w) over the seeds, weight mean(w)."""
    places = [{item: i for i, item in enumerate(one.items)} for one in series]
    rows = []
    for item, group in zip(series[0].items, series[0].groups, strict=True):
        if all(item in place for place in places):
            weights = [one.weights[place[item]] for one, place in zip(series, places, strict=True)]
            values = [one.values[place[item]] for one, place in zip(series, places, strict=True)]
            mean = fmean(values, weights) if any(weights) else values[0]
            rows.append((item, group, mean, fmean(weights)))
    return Series.of(rows)
