import math

import numpy as np
import pytest

from edu_align.evaluation.bootstrap import SHARE, difference, exact_interval, exact_p, interval
from edu_align.utils.errors import UserError


def simulate(seed: int, clusters: int = 40) -> tuple[np.ndarray, list[str]]:
    """Items that share their cluster's effect: true mean 0.5, cluster sd 1, item sd 0.5, 1 to 15 items a cluster."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 16, clusters)
    effects = np.repeat(rng.normal(0.5, 1.0, clusters), sizes)
    names = [f"c{number}" for number, size in enumerate(sizes) for _ in range(size)]
    return effects + rng.normal(0.0, 0.5, len(effects)), names


def test_interval_of_clustered_data_covers_the_true_mean_and_the_naive_one_does_not():
    covered = naive = 0
    for seed in range(150):
        values, names = simulate(seed)
        found = interval(values, names, seed=seed, samples=400)
        item_wise = interval(values, [str(number) for number in range(len(values))], seed=seed, samples=400)
        covered += found.low <= 0.5 <= found.high
        naive += item_wise.low <= 0.5 <= item_wise.high
        assert found.high - found.low > item_wise.high - item_wise.low
    assert 0.87 <= covered / 150 <= 0.99
    assert naive / 150 < 0.75


def test_independent_items_match_the_normal_interval():
    values = np.random.default_rng(0).normal(0.0, 1.0, 2000)
    found = interval(values, [str(number) for number in range(2000)], seed=0)
    half = 1.96 * values.std() / math.sqrt(2000)
    assert found.mean == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half), abs=0.15 * half)
    assert (found.n, found.clusters) == (2000, 2000)


def test_seed_decides_and_order_of_items_does_not():
    values, names = simulate(1)
    again = interval(values[::-1], names[::-1], seed=5)
    first = interval(values, names, seed=5)
    assert (first.low, first.high) == pytest.approx((again.low, again.high))
    assert interval(values, names, seed=6).low != first.low


def test_many_clusters_are_drawn_in_chunks(monkeypatch):
    values, names = simulate(2)
    whole = interval(values, names, seed=3, samples=101)
    monkeypatch.setattr("edu_align.evaluation.bootstrap.CELLS_PER_CHUNK", 40 * 7)
    chunked = interval(values, names, seed=3, samples=101)
    assert (chunked.low, chunked.high) == (whole.low, whole.high)


def test_weights_give_the_weighted_mean_and_weight_zero_leaves_an_item_out():
    found = interval([1.0, 0.0, 0.5], ["a", "b", "c"], weights=[3.0, 1.0, 0.0], seed=0)
    assert found.mean == pytest.approx(0.75)
    assert (found.low, found.high, found.n, found.clusters) == (0.0, 1.0, 2, 2)


def test_higher_confidence_is_wider():
    values, names = simulate(3)
    narrow, wide = (interval(values, names, seed=0, confidence=share) for share in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high


def test_one_cluster_has_a_mean_and_no_interval():
    found = interval([1.0, 0.0], ["a", "a"], seed=0)
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, math.nan, math.nan), nan_ok=True)


def test_paired_difference_cancels_what_both_find_hard():
    values, names = simulate(4)
    better = values + 0.1 + np.random.default_rng(0).normal(0.0, 0.001, len(values))
    gap = difference(better, values, names, seed=0)
    assert (gap.mean, gap.low, gap.high) == pytest.approx((0.1, 0.1, 0.1), abs=0.001)
    assert interval(better, names, seed=0).low < interval(values, names, seed=0).high


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("groups", [2, 18, 400])
def test_a_share_that_all_groups_agree_on_has_the_interval_of_clopper_and_pearson(value: float, groups: int) -> None:
    from scipy.stats import binomtest

    names = [f"g{item % groups}" for item in range(3 * groups)]
    found = interval([value] * len(names), names, seed=0, bounds=SHARE)
    exact = binomtest(int(value) * groups, groups).proportion_ci(0.95, method="exact")
    assert (found.mean, found.low, found.high) == pytest.approx((value, exact.low, exact.high))
    assert found.n == 3 * groups


def test_groups_that_agree_have_an_interval_by_what_an_item_can_be() -> None:
    names = [f"g{item // 2}" for item in range(20)]
    mixed = [1.0, 0.0] * 10  # every group has one half, though its items differ
    found = interval(mixed, names, seed=0, bounds=SHARE)
    assert 0.3 < found.low < 0.5 < found.high < 0.7
    assert interval([8.0] * 20, names, seed=0, bounds=(0.0, 8.0)).low == pytest.approx(8 * 0.025 ** (1 / 10))
    assert math.isnan(interval([4.0] * 20, names, seed=0).low)  # words: nothing says how many there could be
    same = difference([1.0] * 20, [1.0] * 20, names, seed=0, bounds=SHARE)
    assert same.low == -same.high < 0
    apart = difference([1.0] * 20, [0.0] * 20, names, seed=0, bounds=SHARE)
    assert (apart.low > 0, apart.high) == (True, 1.0)
    beside_chance = difference([1.0] * 20, [0.5] * 20, names, seed=0, bounds=SHARE)
    assert beside_chance.low == pytest.approx(interval([1.0] * 20, names, seed=0, bounds=SHARE).low - 0.5)
    assert difference([1.0] * 2, [0.0] * 2, ["a", "b"], seed=0, bounds=SHARE).low < 0  # two groups show nothing
    level = exact_p(1.0, 10, (-1.0, 1.0))
    assert exact_interval(1.0, 10, (-1.0, 1.0), 1 - level)[0] == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: interval([], [], seed=0), "at least 1 item, got 0"),
        (lambda: interval([1.0], ["a", "b"], seed=0), "1 values, 2 clusters"),
        (lambda: interval([1.0, math.nan], ["a", "b"], seed=0), "Item 1 has the value nan"),
        (lambda: interval([1.0], ["a"], weights=[-1.0], seed=0), "Weights must be >= 0"),
        (lambda: interval([1.0], ["a"], weights=[0.0], seed=0), "one of them > 0"),
        (lambda: interval([1.0], ["a"], samples=0, seed=0), "bootstrap_samples` must be >= 1, got 0"),
        (lambda: interval([1.0], ["a"], confidence=95, seed=0), "confidence` must be between 0 and 1, got 95"),
        (lambda: difference([1.0], [1.0, 0.0], ["a"], seed=0), "got 1 and 2"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(UserError, match=words.replace("(", r"\(")):
        call()
