"""Every arithmetic misconception really makes its error, says where, and keeps the answer to itself."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import cache
from random import Random

import pytest

from edu_align.tutoring.draw import NAMES, PLACES, THINGS
from edu_align.tutoring.misconceptions import (
    decimal_notation,
    decimal_products,
    decimal_sizes,
    decimals,
    fraction_products,
    fraction_sizes,
    fractions,
    integer_order,
    integer_signs,
    integers,
    mixed_numbers,
    order_of_operations,
    whole_division,
    whole_numbers,
    whole_powers,
    whole_products,
    whole_subtraction,
)
from edu_align.tutoring.text import mentions, numbers
from edu_align.tutoring.types import Case, Misconception

AREAS = {
    "whole numbers": whole_numbers.MISCONCEPTIONS,
    "integers": integers.MISCONCEPTIONS,
    "fractions": fractions.MISCONCEPTIONS,
    "decimals": decimals.MISCONCEPTIONS,
}
ALL = [misconception for group in AREAS.values() for misconception in group]
EACH = pytest.mark.parametrize("misconception", ALL, ids=lambda misconception: misconception.id)
SEEDS = range(50)


@cache
def cases_of(misconception: Misconception) -> tuple[Case, ...]:
    return tuple(misconception.make(Random(seed)) for seed in SEEDS)


# id -> (faulty procedure, its arguments, what a student who follows it by hand gets)
BY_HAND: dict[str, tuple[Callable[..., object], tuple[object, ...], object]] = {
    "smaller_from_larger": (whole_subtraction.smaller_from_larger, (52, 37), 25),
    "borrow_no_decrement": (whole_subtraction.borrow_no_decrement, (52, 37), 25),
    "borrow_across_zero": (whole_subtraction.borrow_across_zero, (305, 127), 88),
    "dropped_carry": (whole_numbers.dropped_carry, (47, 38), 75),
    "column_sums_side_by_side": (whole_numbers.column_sums_side_by_side, (47, 38), 715),
    "carry_added_before_multiplying": (whole_products.carry_added_before_multiplying, (46, 7), 562),
    "placeholder_zero_missing": (whole_products.placeholder_zero_missing, (23, 14), 115),
    "zero_times_n_is_n": (whole_products.zero_times_n_is_n, (307, 4), 1268),
    "quotient_zero_omitted": (whole_division.quotient_zero_omitted, (618, 6), 13),
    "remainder_dropped": (whole_division.remainder_dropped, (1128, 36), 31),
    "left_to_right": (order_of_operations.left_to_right, (3, 4, 5), 35),
    "brackets_ignored": (order_of_operations.brackets_ignored, (5, 3, 4), 19),
    "addition_before_subtraction": (order_of_operations.addition_before_subtraction, (20, 5, 3), 12),
    "power_as_product": (whole_powers.power_as_product, (3, 4), 12),
    "minus_negative_as_minus": (integers.minus_negative_as_minus, (5, -3), 2),
    "two_minuses_make_plus": (integers.two_minuses_make_plus, (-5, 3), 8),
    "sizes_added_first_sign_kept": (integers.sizes_added_first_sign_kept, (-7, 4), -11),
    "larger_minus_smaller": (integer_order.larger_minus_smaller, (3, 8), 5),
    "larger_size_is_larger": (integer_order.larger_size_is_larger, (-8, -3), -8),
    "negatives_multiply_to_negative": (integer_signs.negatives_multiply_to_negative, (4, 3), -12),
    "minus_inside_square": (integer_signs.minus_inside_square, (3,), 9),
    "add_across": (fractions.add_across, (1, 3, 1, 4), (2, 7)),
    "denominators_only_scaled": (fractions.denominators_only_scaled, (1, 3, 1, 4), (2, 12)),
    "larger_denominator_is_larger": (fraction_sizes.larger_denominator_is_larger, (1, 5, 8), (1, 8)),
    "smaller_gap_is_larger": (fraction_sizes.smaller_gap_is_larger, ((3, 5), (5, 8)), (3, 5)),
    "cancel_equal_digits": (fraction_sizes.cancel_equal_digits, (13, 39), (1, 9)),
    "multiply_keeps_denominator": (fraction_products.multiply_keeps_denominator, (2, 3, 5), (6, 5)),
    "multiply_crosswise": (fraction_products.multiply_crosswise, (2, 3, 4, 5), (10, 12)),
    "divide_flips_first": (fraction_products.divide_flips_first, (2, 3, 4, 5), (12, 10)),
    "mixed_smaller_from_larger": (mixed_numbers.mixed_smaller_from_larger, (5, 1, 2, 3, 4), (3, 2)),
    "mixed_borrows_ten": (mixed_numbers.mixed_borrows_ten, (5, 1, 2, 3, 4), (2, 8)),
    "one_part_only": (mixed_numbers.one_part_only, (20, 3, 4), 5),
    "digits_right_aligned": (decimals.digits_right_aligned, (Decimal("2.5"), Decimal("0.34")), Decimal("0.59")),
    "sides_added_separately": (decimals.sides_added_separately, (Decimal("3.7"), Decimal("2.6")), "5.13"),
    "missing_digit_copied": (decimals.missing_digit_copied, (Decimal("7.5"), Decimal("2.38")), Decimal("5.28")),
    "product_keeps_places": (decimal_products.product_keeps_places, (Decimal("0.3"), Decimal("0.4")), Decimal("1.2")),
    "longer_is_larger": (decimal_sizes.longer_is_larger, (Decimal("0.45"), Decimal("0.6")), Decimal("0.45")),
    "shorter_is_larger": (decimal_sizes.shorter_is_larger, (Decimal("0.75"), Decimal("0.4")), Decimal("0.4")),
    "times_ten_appends_zero": (decimal_products.times_ten_appends_zero, (Decimal("3.7"),), "3.70"),
    "bar_becomes_point": (decimal_notation.bar_becomes_point, (Fraction(1, 4),), "1.4"),
    "digit_becomes_denominator": (decimal_notation.digit_becomes_denominator, (Decimal("0.4"),), Fraction(1, 4)),
}


def test_by_hand_covers_every_misconception() -> None:
    assert sorted(BY_HAND) == sorted(misconception.id for misconception in ALL)
    assert len(ALL) >= 24


@pytest.mark.parametrize("name", BY_HAND)
def test_procedure_by_hand(name: str) -> None:
    procedure, arguments, expected = BY_HAND[name]
    assert procedure(*arguments) == expected


@pytest.mark.parametrize("area", AREAS)
def test_area_and_citation(area: str) -> None:
    for misconception in AREAS[area]:
        assert misconception.area == area
        assert misconception.name
        assert "(19" in misconception.source or "(20" in misconception.source or "Ashlock" in misconception.source


@EACH
def test_answers_and_work(misconception: Misconception) -> None:
    for case in cases_of(misconception):
        answer, wrong = numbers(case.answer), numbers(case.wrong_answer)
        assert len(answer) == len(wrong) == 1
        assert answer != wrong
        assert case.work[-1].endswith(case.wrong_answer)
        assert numbers(case.work[-1])[-1:] == wrong
        assert case.solution[-1].endswith(case.answer)
        assert 0 <= case.wrong_step < len(case.work)
        for line in case.work[: case.wrong_step + 1]:
            assert numbers(line)[-1:] != answer, line


@EACH
def test_texts_keep_the_answer_and_fit_their_frames(misconception: Misconception) -> None:
    for case in cases_of(misconception):
        for group in (case.probes, case.hints, case.actions):
            assert len(set(group)) >= 3
        for text in (*case.probes, *case.hints, *case.actions, case.place, case.cause, case.wrong_place, case.topic):
            assert not mentions(text, case.answer), (text, case.answer)
            assert "{" not in text
            assert text == text.strip()
        assert all(probe.endswith("?") and probe[0].isupper() for probe in case.probes)
        assert all(hint.endswith(".") for hint in case.hints)
        assert all(action[0].islower() and action[-1] not in ".?!" for action in case.actions)
        assert case.cause.startswith("you ")
        assert case.place.startswith("the ")
        assert case.wrong_place.startswith("the ")
        assert case.wrong_place != case.place


@EACH
def test_same_seed_same_case_and_varied_questions(misconception: Misconception) -> None:
    cases = list(cases_of(misconception))
    assert cases == [misconception.make(Random(seed)) for seed in SEEDS]
    assert len({skeleton(case.question) for case in cases}) >= 4
    assert len({case.question for case in cases}) >= 30


def skeleton(question: str) -> str:
    """The template behind a question: numbers, names, things and places are blanked out."""
    for drawn in (*NAMES, *THINGS, *PLACES):
        question = question.replace(drawn, "_")
    return "".join("#" if letter.isdigit() else letter for letter in question).replace("##", "#").replace("##", "#")


def test_correct_answers_are_exact() -> None:
    """Spot check against independent arithmetic: the numbers of bare sums give the stated answer."""
    checked = 0
    for name, operation in (("add_across", Fraction.__add__), ("multiply_crosswise", Fraction.__mul__)):
        misconception = next(entry for entry in ALL if entry.id == name)
        for seed in range(80):
            case = misconception.make(Random(seed))
            if case.question.startswith("Work out"):
                x, y = numbers(case.question)
                assert numbers(case.answer) == [operation(x, y)]
                checked += 1
    assert checked >= 10
