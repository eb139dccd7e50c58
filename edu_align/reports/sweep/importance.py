"""How much of the differences between jobs each swept key accounts for, on its own, and how sure that is.

Method: a one-way analysis of variance on ranks (Kruskal & Wallis 1952), the effect as epsilon squared (Kelley 1935),
which is 0 on average where a key does nothing, and its chance from shuffling. On ranks, because one job that diverged
would otherwise be the whole variance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edu_align.reports.sweep.reading import Sweep

MIN_JOBS = 20  # finished jobs below which nothing is said
MAX_LEVELS = 6  # distinct numbers beyond which they are cut into BINS parts of equally many jobs
BINS = 4
SHUFFLES = 2000


@dataclass(frozen=True)
class Effect:
    """`share`: 0 (none) to 1 (all) of the variance of the ranks; `chance`: how often shuffling gives as much (p)."""

    key: str
    share: float
    chance: float
    levels: int


def importance(sweep: Sweep) -> list[Effect]:
    """The effect of each swept key, the largest first; empty below MIN_JOBS finished jobs or where all are equal.

    A key with one value, or with a value of its own for each job, is left out. Interactions of keys are in no share.
    """
    jobs = sweep.ranked()
    if len(jobs) < MIN_JOBS or len({job.objective for job in jobs}) < 2:
        return []
    ranks = _ranks(np.array([job.objective for job in jobs], dtype=np.float64))
    found = []
    for key in sweep.keys:
        levels = _levels([job.values.get(key) for job in jobs])
        if 1 < levels.max() + 1 < len(jobs):
            found.append(_effect(key, ranks, levels))
    return sorted(found, key=lambda effect: -effect.share)


def _effect(key: str, ranks: NDArray[np.float64], levels: NDArray[np.int64]) -> Effect:
    rng = np.random.default_rng(0)
    size, count = len(ranks), int(levels.max()) + 1
    measured = _explained(ranks, levels)
    shuffled = [_explained(rng.permutation(ranks), levels) for _ in range(SHUFFLES)]
    chance = (1 + sum(value >= measured - 1e-12 for value in shuffled)) / (1 + SHUFFLES)
    share = 1 - (1 - measured) * (size - 1) / (size - count)
    return Effect(key, max(0.0, float(share)), float(chance), count)


def _explained(ranks: NDArray[np.float64], levels: NDArray[np.int64]) -> float:
    """Variance of the levels' mean ranks over the variance of the ranks (eta squared), 0 to 1."""
    centred = ranks - ranks.mean()
    sums, sizes = np.bincount(levels, centred), np.bincount(levels)
    return float((sums**2 / sizes).sum() / (centred**2).sum())


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0, equal values sharing the mean of theirs."""
    _, index, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)
    means: NDArray[np.float64] = (ends - sizes + ends - 1) / 2
    return means[index]


def _levels(values: Sequence[Any]) -> NDArray[np.int64]:
    """Every value's level, numbered from 0: its own, or the part that a number with many others falls into."""
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if numeric and len(set(values)) > MAX_LEVELS:
        array = np.array(values, dtype=np.float64)
        cuts = np.unique(np.quantile(array, np.linspace(0, 1, BINS + 1)[1:-1]))
        values = list(np.searchsorted(cuts, array, side="right"))
    _, index = np.unique([str(value) for value in values], return_inverse=True)
    return index.astype(np.int64)
