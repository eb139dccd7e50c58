"""Whether paired differences hold when many are tested: bootstrap p-values and Holm's correction."""

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edu_align.errors import UserError
from edu_align.evaluation.suite.results import Series

Floats = NDArray[np.float64]


def p_value(a: Series, b: Series, *, seed: int, samples: int) -> float | None:
    """Two-sided p of the paired difference mean(a) - mean(b), from resampling whole groups; None for fewer than 2.

    p = 2 min(P(d* <= 0), P(d* >= 0)) over the resampled differences d*, with 1 added to each count so that it is never
    0: the level at which the percentile interval begins to hold 0 (Efron & Tibshirani 1993, chapter 13 and 15.4). The
    smallest p is 2 / (samples + 1). Raises UserError where the two have other items.
    """
    totals = _totals(a, b)
    if len(totals) < 2:
        return None
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
