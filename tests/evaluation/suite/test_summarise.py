"""Rows of numbers from stored items: the same items for every difference, and means over seeds."""

import json
from typing import Any

import pytest

from edu_align.evaluation.bootstrap import Interval, difference, interval
from edu_align.evaluation.suite.results import MetricResult, Series
from edu_align.evaluation.suite.summarise import averaged, summarise, table
from edu_align.utils.errors import UserError

Floats = tuple[float, ...]
NAME = "pair_accuracy/mean_logp"
ITEMS = [f"pair {i}" for i in range(40)]
GROUPS = [f"group {i // 4}" for i in range(40)]


def series(values: list[float], items: list[str] = ITEMS, weights: list[float] | None = None) -> Series:
    groups = [GROUPS[ITEMS.index(item)] for item in items]
    return Series.of(list(zip(items, groups, values, weights or [1.0] * len(items), strict=True)))


def result(values: Series, better: str = "higher", **rules: Series) -> MetricResult:
    return MetricResult(
        "pair_accuracy", "what it is", {NAME: values}, {NAME: rules}, {NAME: "share"}, {NAME: better}, ("a note",)
    )


HALF = series([0.5] * 40)
GOOD = series([1.0] * 36 + [0.0] * 4)
POOR = series([1.0, 0.0] * 20)


def rows_of(**results: MetricResult) -> dict[str, dict[str, Any]]:
    found = summarise({label: {"pair_accuracy": each} for label, each in results.items()}, seed=3, samples=200)
    return {row["label"]: row for row in found}


def test_a_row_holds_what_the_bootstrap_says() -> None:
    rows = rows_of(base=result(POOR, chance=HALF), SFT=result(GOOD, chance=HALF), DPO=result(GOOD, chance=HALF))

    def entry(spread: Interval) -> dict[str, float]:
        return {"value": spread.mean, "low": spread.low, "high": spread.high, "n": 40, "groups": 10}

    row = rows["SFT"]
    assert entry(interval(GOOD.values, GROUPS, seed=3, samples=200)).items() <= row.items()
    gap = difference(GOOD.values, POOR.values, GROUPS, seed=3, samples=200)
    assert row["difference_to_base"] == entry(gap)
    assert (row["difference_to_sft"], row["unit"], row["notes"]) == (None, "share", ["a note"])
    assert rows["DPO"]["difference_to_sft"]["value"] == 0.0
    assert rows["base"]["difference_to_base"] is None
    json.dumps(list(rows.values()))


def test_the_strongest_baseline_and_the_verdict() -> None:
    rows = rows_of(base=result(POOR, chance=HALF, prior=GOOD, oracle=series([1.0] * 40)), DPO=result(GOOD, chance=HALF))
    assert rows["base"]["strongest_baseline"] == "prior"  # never the ceiling
    assert "not shown to beat the baseline 'prior'" in rows["base"]["verdict"]
    assert rows["DPO"]["strongest_baseline"] == "chance"
    assert rows["DPO"]["verdict"] == ""
    assert rows["DPO"]["baselines"]["prior"]["value"] == pytest.approx(0.9)


def test_lower_is_better_where_the_metric_says_so() -> None:
    rows = rows_of(base=result(POOR, better="lower", good=GOOD, chance=HALF))
    assert rows["base"]["strongest_baseline"] == "chance"
    assert "not shown" in rows["base"]["verdict"]
    assert rows_of(base=result(series([0.0] * 40), better="lower", chance=HALF))["base"]["verdict"] == ""
    neither = rows_of(base=result(POOR, better="", chance=HALF))["base"]
    assert neither["strongest_baseline"] is None
    assert neither["verdict"] == ""


def test_differences_are_over_common_items() -> None:
    less = series([1.0] * 20, ITEMS[:20], [2.0] * 20)
    rows = rows_of(base=result(POOR), DPO=result(less))
    assert rows["DPO"]["difference_to_base"]["n"] == 20
    assert rows["DPO"]["difference_to_base"]["value"] == pytest.approx(0.5)
    assert rows["base"]["n"] == 40
    other = Series(("elsewhere",), ("g",), (1.0,), (1.0,))
    assert rows_of(base=result(POOR), DPO=result(other))["DPO"]["difference_to_base"] is None


def test_one_group_has_no_interval_and_no_victory() -> None:
    one = series([1.0] * 4, ITEMS[:4])
    row = rows_of(base=result(one, chance=series([0.5] * 4, ITEMS[:4])))["base"]
    assert row["low"] is None
    assert "no interval" in row["verdict"]
    assert any("no interval" in cell for cell in table([row])[1])


def test_the_parent_of_each_model_can_be_named() -> None:
    results = {label: {"pair_accuracy": result(GOOD)} for label in ("base", "a", "b")}
    rows = summarise(results, seed=0, samples=100, parents={"b": "a"})
    assert [row["difference_to_sft"] is None for row in rows] == [True, True, False]


def test_models_without_the_number_have_no_row() -> None:
    implicit = MetricResult("pair_accuracy", "", {NAME: GOOD, "pair_accuracy/implicit": GOOD})
    rows = summarise({"base": {"pair_accuracy": result(POOR)}, "DPO": {"pair_accuracy": implicit}}, 0, 100)
    labels = [(row["name"], row["label"]) for row in rows]
    assert labels == [(NAME, "base"), (NAME, "DPO"), ("pair_accuracy/implicit", "DPO")]


def one_seed(values: Floats, weights: Floats, items: tuple[str, ...] = ("a", "b")) -> MetricResult:
    groups = tuple(f"group {item}" for item in items)
    rule = {"m": {"chance": Series(items, groups, (0.5,) * len(items), weights)}}
    return MetricResult("metric", "what it is", {"m": Series(items, groups, values, weights)}, rule, {"m": "share"})


def test_items_are_means_weighted_as_the_seeds_weight_them() -> None:
    one, other = one_seed((1.0, 0.0), (1.0, 3.0)), one_seed((0.0, 1.0), (3.0, 1.0))
    mean = averaged([{"metric": one}, {"metric": other}])["metric"]
    assert mean.measured["m"] == Series(("a", "b"), ("group a", "group b"), (0.25, 0.25), (2.0, 2.0))
    assert mean.baselines == one.baselines
    assert averaged([{"metric": one}]) == {"metric": one}


def test_what_one_seed_lacks_is_left_out() -> None:
    one, other = one_seed((1.0, 0.0), (1.0, 1.0)), one_seed((1.0,), (1.0,), ("b",))
    mean = averaged([{"metric": one}, {"metric": other}])["metric"]
    assert (mean.measured["m"].items, mean.measured["m"].values) == (("b",), (0.5,))
    assert averaged([{"metric": one, "alone": one}, {"metric": other}]).keys() == {"metric"}
    with pytest.raises(UserError, match="got 0 seeds"):
        averaged([])


def test_an_item_of_no_weight_stays_without_weight() -> None:
    nothing = one_seed((1.0, 0.0), (0.0, 1.0))
    assert averaged([{"metric": nothing}] * 2)["metric"].measured["m"].weights == (0.0, 1.0)
