"""Percentile intervals from resampling whole clusters, and exact ones where resampling has nothing to draw from.

Pairs of one dialogue are not independent, so items are never resampled one by one: whole clusters (conversation
groups) are drawn with replacement. Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.3
(percentile interval) and chapter 8 (resampling the independent units of structured data).

Where all clusters say the same, every resample does too, and an interval of no width would claim certainty. Of m
clusters none was otherwise, so by Clopper & Pearson (1934, Biometrika 26) at most a share p = 1 - (alpha / 2)^(1 / m)
of all clusters is, and those can reach the least or the largest value that an item may have.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edu_align.utils.errors import UserError

Floats = NDArray[np.float64]
Bounds = tuple[float, float]  # the least and the largest value that an item can have
SHARE: Bounds = (0.0, 1.0)
CELLS_PER_CHUNK = 2_000_000  # drawn cluster indices held in memory at a time (16 MB)


@dataclass(frozen=True)
class Interval:
    """A weighted mean and its interval.

    `n` counts the items and `clusters` the independent groups behind it, both of weight > 0. `low` and `high` are NaN
    where nothing is known of them: with one cluster only, and where all clusters are equal and items have no bounds.
    """

    mean: float
    low: float
    high: float
    n: int
    clusters: int


def interval(
    values: Sequence[float] | Floats,
    clusters: Sequence[str],
    *,
    seed: int,
    weights: Sequence[float] | Floats | None = None,
    samples: int = 2000,
    confidence: float = 0.95,
    bounds: Bounds | None = None,
) -> Interval:
    """Mean of `values` (weighted by `weights`, each >= 0) with a percentile interval over resampled clusters.

    `values`, `clusters` and `weights` have one entry an item. The statistic is sum(w x) / sum(w), a ratio of cluster
    totals, so every resample is a sum over cluster totals. The same seed and the same clusters draw the same
    resamples. Where all clusters are equal the interval is the exact one within `bounds`. Raises UserError for no item,
    unequal lengths, a value that is not finite, a bad weight, `samples` < 1 or a `confidence` outside (0, 1).
    """
    _check_settings(samples, confidence)
    x, w = _checked(values, clusters, weights)
    used = w > 0
    kept = [name for name, keep in zip(clusters, used, strict=True) if keep]
    unique = {name: position for position, name in enumerate(sorted(set(kept)))}
    index = np.array([unique[name] for name in kept])
    totals = np.zeros((len(unique), 2))
    np.add.at(totals, index, np.stack([(w * x)[used], w[used]], axis=1))
    mean = float(totals[:, 0].sum() / totals[:, 1].sum())
    if len(unique) < 2:
        return Interval(mean, float("nan"), float("nan"), int(used.sum()), len(unique))
    if all_equal(totals):
        low, high = exact_interval(mean, len(unique), bounds, confidence)
        return Interval(mean, low, high, int(used.sum()), len(unique))
    drawn = _resampled_totals(totals, samples, seed)
    tail = 50.0 * (1.0 - confidence)  # percent on each side
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [tail, 100.0 - tail])
    return Interval(mean, float(low), float(high), int(used.sum()), len(unique))


def difference(
    a: Sequence[float] | Floats,
    b: Sequence[float] | Floats,
    clusters: Sequence[str],
    *,
    seed: int,
    weights: Sequence[float] | Floats | None = None,
    samples: int = 2000,
    confidence: float = 0.95,
    bounds: Bounds | None = None,
) -> Interval:
    """Paired difference mean(a) - mean(b) on the same items, with its interval; arguments as for `interval`.

    `bounds` are those of `a` and of `b`.

    `a[i]` and `b[i]` belong to one item, so what both find hard cancels: the interval is narrower than that of two
    separate means. `a` is shown to be larger where `low` > 0.
    """
    if len(a) != len(b):
        raise UserError(
            f"A paired difference needs two values for every item, got {len(a)} and {len(b)}. "
            "Score both models on the same items."
        )
    paired = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    return interval(
        paired,
        clusters,
        seed=seed,
        weights=weights,
        samples=samples,
        confidence=confidence,
        bounds=of_difference(b, bounds),
    )


def of_difference(b: Sequence[float] | Floats, bounds: Bounds | None) -> Bounds | None:
    """The bounds of a - b, both within `bounds`. Where every `b` is a tie (the rule `chance`), it cannot be another."""
    if bounds is None:
        return None
    low, high = bounds
    tie = (low + high) / 2
    return (low - tie, high - tie) if np.all(np.asarray(b) == tie) else (low - high, high - low)


def all_equal(totals: Floats) -> bool:
    """Whether all clusters have the same mean; `totals` (clusters, 2): sums of weight x value and of weight > 0."""
    means = totals[:, 0] / totals[:, 1]
    return bool(np.ptp(means) <= 1e-12 * max(1.0, float(np.abs(means).max())))


def exact_interval(value: float, clusters: int, bounds: Bounds | None, confidence: float) -> tuple[float, float]:
    """Low and high for `clusters` clusters that all have this value; NaN without bounds."""
    if bounds is None:
        return float("nan"), float("nan")
    others = 1.0 - ((1.0 - confidence) / 2.0) ** (1.0 / clusters)
    low, high = min(bounds[0], value), max(bounds[1], value)
    return value - others * (value - low), value + others * (high - value)


def exact_p(value: float, clusters: int, bounds: Bounds | None) -> float:
    """The level at which `exact_interval` begins to hold 0; 1 where it always does."""
    if bounds is None or value == 0.0:
        return 1.0
    far = max(bounds[1], 0.0) if value < 0 else min(bounds[0], 0.0)
    return min(1.0, 2.0 * float((far / (far - value)) ** clusters))


def _resampled_totals(totals: Floats, samples: int, seed: int) -> Floats:
    """Sums (samples, 2) of the rows of `totals` (clusters, 2), each over as many draws as there are clusters."""
    rng = np.random.default_rng(seed)
    size = len(totals)
    rows = max(1, CELLS_PER_CHUNK // size)
    parts = []
    for start in range(0, samples, rows):
        drawn = rng.integers(0, size, size=(min(rows, samples - start), size), dtype=np.int64)
        parts.append(np.stack([column[drawn].sum(axis=1) for column in totals.T], axis=1))
    return np.concatenate(parts)


def _checked(
    values: Sequence[float] | Floats, clusters: Sequence[str], weights: Sequence[float] | Floats | None
) -> tuple[Floats, Floats]:
    x = np.asarray(values, dtype=np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, dtype=np.float64)
    if len(x) == 0:
        raise UserError("An interval needs at least 1 item, got 0. Evaluate on more groups or lower the margin.")
    if len(x) != len(clusters) or len(x) != len(w):
        raise UserError(
            f"Every item needs one value, one cluster and one weight, got {len(x)} values, {len(clusters)} clusters "
            f"and {len(w)} weights. Build the three lists in one loop."
        )
    for name, array in (("value", x), ("weight", w)):
        bad = np.flatnonzero(~np.isfinite(array))
        if len(bad):
            raise UserError(
                f"Item {bad[0]} has the {name} {array[bad[0]]}. Drop the item or mend what computed its {name}."
            )
    if (w < 0).any() or not (w > 0).any():
        raise UserError(f"Weights must be >= 0 and one of them > 0, got {w.min()} to {w.max()}. Mend the weights.")
    return x, w


def _check_settings(samples: int, confidence: float) -> None:
    if samples < 1:
        raise UserError(f"`evaluation.bootstrap_samples` must be >= 1, got {samples}. 2000 gives steady intervals.")
    if not 0 < confidence < 1:
        raise UserError(
            f"`evaluation.confidence` must be between 0 and 1, got {confidence}. Write 0.95 for a 95 % interval."
        )
