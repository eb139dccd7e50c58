"""Pooling against a direct computation over all pairs."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from edu_align.evaluation.suite.data import Settings
from edu_align.evaluation.suite.pair_accuracy import balanced_pairs
from edu_align.evaluation.suite.pooling import joined, left_out, pooled, pooled_weights
from edu_align.evaluation.suite.results import MetricResult, Series
from edu_align.utils.errors import UserError
from tests.evaluation.builders import group

METRIC, NAME = "pair_accuracy_balanced", "pair_accuracy_balanced/mean_logp"
SETTINGS = Settings()


def question(key: str, better: str, worse: str) -> Any:
    return replace(group([8.0, 2.0], authors=[better, worse], key=key), source="mrbench")


# Fold 0 has three wins of A over B and one of B over A; fold 1 has one of B over A, alone there.
PARTS = [
    [question("1", "A", "B"), question("2", "A", "B"), question("3", "A", "B"), question("4", "B", "A")],
    [question("5", "B", "A")],
]
RIGHT = {"1": 1.0, "2": 0.0, "3": 1.0, "4": 0.0, "5": 1.0}  # of the model


def fold(groups: list[Any]) -> dict[str, MetricResult]:
    """A fold's stored result: its own pairs, weighted among themselves."""
    scores = [(RIGHT[one.group], 0.5) for one in groups]
    series = balanced_pairs(groups, SETTINGS.margin).series(scores)
    rule = balanced_pairs(groups, SETTINGS.margin).series([(1.0, 0.0)] * len(groups))
    return {METRIC: MetricResult(METRIC, "", {NAME: series}, {NAME: {"longer": rule}})}


def mean(series: Series) -> float:
    return sum(w * x for w, x in zip(series.weights, series.values, strict=True)) / sum(series.weights)


def test_weights_are_those_of_all_pairs() -> None:
    parts: Any = [SimpleNamespace(mrbench=groups, settings=SETTINGS) for groups in PARTS]
    folds = [fold(groups) for groups in PARTS]
    found, notes = pooled(folds, pooled_weights(parts, [METRIC, "selection_score"]))
    series = found[METRIC].measured[NAME]
    everything = PARTS[0] + PARTS[1]
    direct = balanced_pairs(everything, SETTINGS.margin).series([(RIGHT[one.group], 0.5) for one in everything])
    assert series == direct
    assert mean(series) == pytest.approx((2 / 3 * (1 + 0 + 1) + 0 + 1) / 4)  # n_AB = 3, n_BA = 2
    assert found[METRIC].baselines[NAME]["longer"].weights == series.weights
    apart = joined([one[METRIC].measured[NAME] for one in folds])
    assert apart.weights[-1] == 0.0  # alone in its fold, it would count nothing
    assert mean(apart) == pytest.approx((1 / 3 * (1 + 0 + 1) + 0) / 2)
    assert not notes


def test_a_metric_without_such_weights_keeps_its_own() -> None:
    folds = [{"m": MetricResult("m", "", {"m/x": Series.of([(item, item, 1.0, weight)])})}
             for item, weight in (("a", 2.0), ("b", 3.0))]  # fmt: skip
    found, _ = pooled(folds, {})
    assert found["m"].measured["m/x"] == Series(("a", "b"), ("a", "b"), (1.0, 1.0), (2.0, 3.0))


def test_what_every_fold_measures_alike_is_left_out_and_what_one_lacks_is_said() -> None:
    both = MetricResult("student", "", {"student/right": Series.of([("a", "a", 1.0, 1.0)])})
    one = MetricResult("diagnosis", "", {"diagnosis/mean_logp": Series.of([("b", "b", 1.0, 1.0)])})
    found, notes = pooled([{"student": both}, {"student": both, "diagnosis": one}], {})
    assert list(found) == ["diagnosis"]
    assert notes == [
        "student left out: every fold measures the same items, and none of them holds those out",
        "diagnosis is of 1 of 2 folds: the others have no item of it",
    ]


def test_a_rule_that_one_fold_lacks_is_pooled_over_the_others() -> None:
    folds = [fold(groups) for groups in PARTS]
    folds[1] = {METRIC: replace(folds[1][METRIC], baselines={})}
    found, _ = pooled(folds, {})
    assert len(found[METRIC].measured[NAME].items) == 5
    assert len(found[METRIC].baselines[NAME]["longer"].items) == 4


def test_items_twice_are_no_series() -> None:
    with pytest.raises(UserError, match="no item twice"):
        joined([Series.of([("a", "a", 1.0, 1.0)])] * 2)


def test_what_was_seen_is_counted_over_the_parts_that_are_read() -> None:
    class Part:
        left_out = 0

        def fingerprint(self, part: str) -> str:
            self.left_out += {"mrbench": 2, "mrbench_training": 0}[part]
            return part

    parts: Any = [Part(), Part()]
    assert left_out(parts, ["pair_accuracy_balanced", "selection_score"]) == 4
