"""Macro-F1 of predicted labels, with an interval from resampling whole groups.

F1 of a class = 2 TP / (2 TP + FP + FN); macro-F1 is its mean over the classes that people or the rule used. It is no
mean over items, so a resample adds up the groups' tables of (label, prediction) first.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from edu_align.evaluation.bootstrap import Interval

SAMPLES, CONFIDENCE = 2000, 0.95


def macro_f1(
    labels: Sequence[int], predicted: Sequence[int], groups: Sequence[str], classes: int, seed: int
) -> Interval:
    """Of `classes` classes 0, 1, ...; the three lists have one entry an item. No interval for one group."""
    names = sorted(set(groups))
    place = {name: i for i, name in enumerate(names)}
    tables = np.zeros((len(names), classes, classes))
    np.add.at(tables, ([place[name] for name in groups], list(labels), list(predicted)), 1)
    mean = float(_of_tables(tables.sum(0)[None])[0])
    if len(names) < 2:
        return Interval(mean, float("nan"), float("nan"), len(labels), len(names))
    drawn = np.random.default_rng(seed).multinomial(len(names), [1 / len(names)] * len(names), size=SAMPLES)
    values = _of_tables(np.einsum("sg,gij->sij", drawn, tables))
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(values, [tail, 100.0 - tail])
    return Interval(mean, float(low), float(high), len(labels), len(names))


def _of_tables(tables: Any) -> Any:
    """(S, C, C) counts by label and prediction -> (S,)."""
    hits = np.einsum("scc->sc", tables)
    used = tables.sum(1) + tables.sum(2)  # 2 TP + FP + FN
    return (2 * hits / np.maximum(used, 1)).sum(1) / np.maximum((used > 0).sum(1), 1)
