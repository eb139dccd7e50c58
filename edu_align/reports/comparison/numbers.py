"""The numbers of every model from its stored items, beside base, SFT parent and baselines; Holm's correction."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edu_align.evaluation.bootstrap import Bounds, all_equal, exact_p, of_difference
from edu_align.evaluation.suite.results import Series
from edu_align.evaluation.suite.summarise import BOUNDS, paired_difference, scorer_of, summarise
from edu_align.reports.comparison.models import Difference, Model, Number
from edu_align.utils.errors import UserError

BY_REPLY = ("arithmetic_correct",)  # counts only replies that hold a sum, so each model has items of its own


def numbers_of(models: Sequence[Model], seed: int, samples: int, confidence: float) -> tuple[list[Number], int]:
    """All numbers, and how many paired differences are tested in all; `adjusted` counts every one of those.

    Raises UserError where two models have the same number over other items, those in BY_REPLY apart.
    """
    _check_items(models)
    by_label = {model.label: model for model in models}
    found: list[Number] = []
    for base in dict.fromkeys(model.base for model in models):
        related = [model for model in models if model.base == base]
        results = {model.label: model.results for model in related}
        parents = {model.label: model.sft or "" for model in related}
        rows = summarise(results, seed, samples, confidence, parents)
        found += [_number(row, by_label[row["label"]]) for row in rows]
    found = [_with_rival(number, by_label, seed, samples, confidence) for number in found]
    tests = sum(len(number.differences) for number in found)
    return _corrected(found, by_label, seed, samples_for(tests, 1 - confidence, samples)), tests


def _check_items(models: Sequence[Model]) -> None:
    first: dict[tuple[str, str], tuple[str, frozenset[str]]] = {}
    for model in models:
        for metric, result in model.results.items():
            for name, series in result.measured.items():
                items = frozenset(series.items)
                label, known = first.setdefault((metric, name), (model.label, items))
                if items != known and not _by_reply(name):
                    raise UserError(
                        f"{name} was measured on other items: {label} on {len(known)}, {model.label} on {len(items)}, "
                        f"of which {len(items & known)} are shared. Such numbers cannot be compared. Evaluate both "
                        "with the same data_root, dataset and evaluation settings, or leave one out."
                    )


def _by_reply(name: str) -> bool:
    """Whether a number has other items for each model, so that no difference is taken."""
    return name.split("/")[0] in BY_REPLY


def _number(row: Mapping[str, Any], model: Model) -> Number:
    gaps = {model.base: row["difference_to_base"], model.sft: row["difference_to_sft"]}
    compared = [] if _by_reply(row["name"]) else [label for label in model.references if label in gaps]
    return Number(
        metric=row["metric"],
        name=row["name"],
        label=row["label"],
        value=row["value"],
        low=row["low"],
        high=row["high"],
        n=row["n"],
        groups=row["groups"],
        unit=row["unit"],
        better=row["better"],
        baselines={rule: spread["value"] for rule, spread in row["baselines"].items()},
        strongest=row["strongest_baseline"],
        to_strongest=_difference(row["difference_to_strongest"]),
        differences={other: gap for other in compared if (gap := _difference(gaps[other]))},
    )


def _with_rival(number: Number, models: Mapping[str, Model], seed: int, samples: int, confidence: float) -> Number:
    """The number with its paired difference to the first run named, too. Rewards are compared where both are measured
    against the same model.
    """
    model = models[number.label]
    rival = models[model.rival] if model.rival else None
    if rival is None or rival.label in number.differences or _by_reply(number.name):
        return number
    reference = {"implicit": "sft", "implicit_from_base": "base"}.get(scorer_of(number.name))
    if reference and _reference(model, reference) != _reference(rival, reference):
        return number
    theirs = rival.results[number.metric].measured.get(number.name) if number.metric in rival.results else None
    if theirs is None:
        return number
    mine = model.results[number.metric].measured[number.name]
    gap = _difference(paired_difference(mine, theirs, seed, samples, confidence, BOUNDS.get(number.unit)))
    return replace(number, differences=number.differences | ({rival.label: gap} if gap else {}))


def _reference(model: Model, which: str) -> str:
    return (model.sft or model.base) if which == "sft" else model.base


def _difference(plain: Mapping[str, Any] | None) -> Difference | None:
    return None if plain is None else Difference(plain["value"], plain["low"], plain["high"])


def _corrected(numbers: Sequence[Number], models: Mapping[str, Model], seed: int, samples: int) -> list[Number]:
    """The same numbers with Holm's p in their differences. A difference of one group counts as a test of p = 1."""
    p_values = []
    for number in numbers:
        for other in number.differences:
            mine, theirs = (models[x].results[number.metric].measured[number.name] for x in (number.label, other))
            p = p_value(mine, theirs, seed=seed, samples=samples, bounds=BOUNDS.get(number.unit))
            p_values.append(1.0 if p is None else p)
    adjusted = iter(holm(p_values))
    return [
        replace(n, differences={other: replace(gap, adjusted=next(adjusted)) for other, gap in n.differences.items()})
        for n in numbers
    ]


Floats = NDArray[np.float64]


def p_value(a: Series, b: Series, *, seed: int, samples: int, bounds: Bounds | None = None) -> float | None:
    """Two-sided p of the paired difference mean(a) - mean(b), from resampling whole groups; None for fewer than 2.

    p = 2 min(P(d* <= 0), P(d* >= 0)) over the resampled differences d*, with 1 added to each count so that it is never
    0: the level at which the percentile interval begins to hold 0 (Efron & Tibshirani 1993, chapter 13 and 15.4). The
    smallest p is 2 / (samples + 1). Where all groups differ alike, resampling has nothing to draw from: p is then that
    of the exact interval within `bounds`, which are those of `a` and of `b`. Raises UserError for other items.
    """
    totals = _totals(a, b)
    if len(totals) < 2:
        return None
    apart = np.stack([totals[:, 0] - totals[:, 2], totals[:, 1]], axis=1)
    if np.array_equal(totals[:, 1], totals[:, 3]) and all_equal(apart):
        return exact_p(float(apart[0, 0] / apart[0, 1]), len(totals), of_difference(b.values, bounds))
    drawn = _counts(len(totals), samples, seed) @ totals
    with np.errstate(invalid="ignore", divide="ignore"):
        gaps = drawn[:, 0] / drawn[:, 1] - drawn[:, 2] / drawn[:, 3]
    gaps = gaps[np.isfinite(gaps)]
    one_side = min(int((gaps <= 0).sum()), int((gaps >= 0).sum()))
    return min(1.0, 2.0 * (one_side + 1) / (len(gaps) + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given: p is significant at level alpha, for the family, where adjusted <= alpha.

    The k-th smallest of m is multiplied by m - k + 1 and never falls below the one before it (Holm 1979, A Simple
    Sequentially Rejective Multiple Test Procedure); valid however the tests depend on each other.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def samples_for(tests: int, level: float, least: int) -> int:
    """Resamples with which the smallest p of `tests` tests can be a quarter of what Holm asks of it; >= `least`."""
    return max(least, int(np.ceil(8 * tests / level)))


def _totals(a: Series, b: Series) -> Floats:
    """(groups, 4): sums of weight x value and of weight, of `a` and of `b`, for every group of weight > 0."""
    if a.items != b.items and set(a.items) != set(b.items):
        raise UserError(
            f"A paired difference needs the same items, got {len(a.items)} and {len(b.items)}, of which "
            f"{len(set(a.items) & set(b.items))} are shared. Measure both models on the same data and split."
        )
    at = {item: place for place, item in enumerate(b.items)}
    order = [at[item] for item in a.items]
    names = {group: place for place, group in enumerate(sorted(set(a.groups)))}
    weights = np.asarray(a.weights), np.asarray(b.weights)[order]
    values = np.asarray(a.values), np.asarray(b.values)[order]
    columns = [part for x, w in zip(values, weights, strict=True) for part in (w * x, w)]
    totals = np.zeros((len(names), 4))
    np.add.at(totals, [names[group] for group in a.groups], np.stack(columns, axis=1))
    return totals[(totals[:, 1] > 0) | (totals[:, 3] > 0)]


@functools.lru_cache(maxsize=8)
def _counts(groups: int, samples: int, seed: int) -> Floats:
    """(samples, groups): how often each group is drawn, with as many draws as there are groups."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(groups, np.full(groups, 1.0 / groups), size=samples).astype(np.float64)
