"""Several seeds as one model: means item by item."""

import pytest

from edu_align.errors import UserError
from edu_align.evaluation.suite.results import MetricResult, Series
from edu_align.evaluation.suite.summarise import averaged


def result(values: tuple[float, ...], weights: tuple[float, ...], items: tuple[str, ...] = ("a", "b")) -> MetricResult:
    groups = tuple(f"group {item}" for item in items)
    rule = {"m": {"chance": Series(items, groups, (0.5,) * len(items), weights)}}
    return MetricResult("metric", "what it is", {"m": Series(items, groups, values, weights)}, rule, {"m": "share"})


def test_items_are_means_weighted_as_the_seeds_weight_them() -> None:
    one, other = result((1.0, 0.0), (1.0, 3.0)), result((0.0, 1.0), (3.0, 1.0))
    mean = averaged([{"metric": one}, {"metric": other}])["metric"]
    assert mean.measured["m"].values == (0.25, 0.25)
    assert mean.measured["m"].weights == (2.0, 2.0)
    assert mean.measured["m"].groups == ("group a", "group b")
    assert mean.baselines == one.baselines
    assert averaged([{"metric": one}]) == {"metric": one}


def test_what_one_seed_lacks_is_left_out() -> None:
    one, other = result((1.0, 0.0), (1.0, 1.0)), result((1.0,), (1.0,), ("b",))
    mean = averaged([{"metric": one}, {"metric": other}])["metric"]
    assert mean.measured["m"].items == ("b",)
    assert mean.measured["m"].values == (0.5,)
    assert averaged([{"metric": one, "alone": one}, {"metric": other}]).keys() == {"metric"}
    with pytest.raises(UserError, match="got 0 seeds"):
        averaged([])


def test_an_item_of_no_weight_stays_without_weight() -> None:
    nothing = result((1.0, 0.0), (0.0, 1.0))
    assert averaged([{"metric": nothing}] * 2)["metric"].measured["m"].weights == (0.0, 1.0)
