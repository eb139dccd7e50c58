"""p-values of paired differences and Holm's correction."""

import random

import pytest

from edu_align.evaluation.bootstrap import difference
from edu_align.evaluation.suite.results import Series
from edu_align.reports.comparison.numbers import holm, numbers_of, p_value, samples_for
from edu_align.utils.errors import UserError
from tests.reports.comparison_builders import series, three


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_p_is_small_for_a_difference_and_large_for_none() -> None:
    a, b = series(0.9, 1), series(0.3, 2)
    assert p_value(a, b, seed=0, samples=999) == pytest.approx(2 / 1000)
    assert p_value(a, a, seed=0, samples=999) == 1.0
    assert p_value(series(0.5, 3), series(0.5, 4), seed=0, samples=999) > 0.05


@pytest.mark.parametrize("seed", range(6))
def test_p_agrees_with_the_interval_that_the_table_prints(seed: int) -> None:
    """Both resample groups, with other draws: away from the edge they say the same."""
    a, b = series(0.5 + 0.03 * seed, 10 + seed), series(0.5, 30)
    found = difference(a.values, b.values, a.groups, seed=0)
    p = p_value(a, b, seed=0, samples=4000)
    assert p is not None
    if not 0.03 < p < 0.07:
        assert (p < 0.05) == (found.low > 0 or found.high < 0)


def test_under_the_null_p_is_below_5_percent_about_as_often() -> None:
    draw = random.Random(0)
    hits = 0
    for _ in range(200):
        rows = [(f"{g}", f"{g}", draw.gauss(0, 1), 1.0) for g in range(40)]
        zero = Series.of([(name, group, 0.0, 1.0) for name, group, _, _ in rows])
        p = p_value(Series.of(rows), zero, seed=1, samples=999)
        assert p is not None
        hits += p <= 0.05
    assert 2 <= hits <= 24  # 10 expected; a percentile interval of 40 groups is a little too narrow


def test_items_are_joined_by_name_and_weights_count() -> None:
    a = Series(("x", "y", "z"), ("1", "2", "3"), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0))
    b = Series(("z", "x", "y"), ("3", "1", "2"), (9.0, 1.0, 0.0), (0.0, 1.0, 1.0))
    assert p_value(a, b, seed=0, samples=99) == 1.0
    assert p_value(Series.of([("x", "1", 1.0, 1.0)]), Series.of([("x", "1", 0.0, 1.0)]), seed=0, samples=99) is None
    with pytest.raises(UserError, match="got 3 and 1, of which 1 are shared"):
        p_value(a, Series.of([("x", "1", 0.0, 1.0)]), seed=0, samples=99)


def test_every_difference_of_the_report_is_counted(tmp_path) -> None:
    numbers, tests = numbers_of(three(tmp_path), 0, 200, 0.95)
    gaps = [gap for number in numbers for gap in number.differences.values()]
    assert len(gaps) == tests == 12 * 3
    assert all(gap.adjusted is not None for gap in gaps)
    sure = [gap for gap in gaps if gap.adjusted <= 0.05]
    assert 0 < len(sure) < sum(gap.excludes_0 for gap in gaps)
    assert samples_for(tests, 0.05, 200) == 8 * tests / 0.05


def test_a_base_is_compared_with_nothing_and_sft_only_with_base(tmp_path) -> None:
    numbers, _ = numbers_of(three(tmp_path), 0, 200, 0.95)
    against = {"base": set(), "SFT": {"base"}, "DPO": {"base", "SFT"}}
    for number in numbers:
        assert set(number.differences) == (set() if number.name.endswith("/implicit") else against[number.label])
    mine, theirs = (next(n for n in numbers if (n.label, n.name) == (of, "leak_rate")) for of in ("DPO", "SFT"))
    assert mine.differences["SFT"].value == pytest.approx(mine.value - theirs.value)
    assert mine.beats_strongest is True  # lower is better
