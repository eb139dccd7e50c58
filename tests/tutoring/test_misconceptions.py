"""Every misconception really makes its error, says where, and keeps the answer to itself."""

import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import cache
from random import Random

import pytest

from edu_align.tutoring import misconceptions as m
from edu_align.tutoring.contexts import misconception, money, num, poly, read_sheet
from edu_align.tutoring.draw import NAMES, PLACES, THINGS
from edu_align.tutoring.library import LIBRARY
from edu_align.tutoring.text import mentions, numbers
from edu_align.tutoring.types import Case, Misconception

AREAS = {"whole numbers": m.whole_numbers, "integers": m.integers, "fractions": m.fractions, "decimals": m.decimals}
ARITHMETIC = [one for module in AREAS.values() for one in module.MISCONCEPTIONS]
chances = m.probability_statistics
REASONING = [one for one in LIBRARY if one not in ARITHMETIC]
EACH = pytest.mark.parametrize("one", ARITHMETIC + REASONING, ids=lambda one: one.id)
SEEDS = range(50)


@cache
def cases_of(one: Misconception) -> tuple[Case, ...]:
    return tuple(one.make(Random(seed)) for seed in SEEDS)


# id -> (faulty procedure, its arguments, what a student who follows it by hand gets)
CALLED_BY_HAND: dict[str, tuple[Callable[..., object], tuple[object, ...], object]] = {
    "smaller_from_larger": (m.whole_subtraction.smaller_from_larger, (52, 37), 25),
    "borrow_no_decrement": (m.whole_subtraction.borrow_no_decrement, (52, 37), 25),
    "borrow_across_zero": (m.whole_subtraction.borrow_across_zero, (305, 127), 88),
    "dropped_carry": (m.whole_numbers.dropped_carry, (47, 38), 75),
    "column_sums_side_by_side": (m.whole_numbers.column_sums_side_by_side, (47, 38), 715),
    "carry_added_before_multiplying": (m.whole_products.carry_added_before_multiplying, (46, 7), 562),
    "placeholder_zero_missing": (m.whole_products.placeholder_zero_missing, (23, 14), 115),
    "zero_times_n_is_n": (m.whole_products.zero_times_n_is_n, (307, 4), 1268),
    "quotient_zero_omitted": (m.whole_division.quotient_zero_omitted, (618, 6), 13),
    "remainder_dropped": (m.whole_division.remainder_dropped, (1128, 36), 31),
    "left_to_right": (m.order_of_operations.left_to_right, (3, 4, 5), 35),
    "brackets_ignored": (m.order_of_operations.brackets_ignored, (5, 3, 4), 19),
    "addition_before_subtraction": (m.order_of_operations.addition_before_subtraction, (20, 5, 3), 12),
    "power_as_product": (m.whole_powers.power_as_product, (3, 4), 12),
    "minus_negative_as_minus": (m.integers.minus_negative_as_minus, (5, -3), 2),
    "two_minuses_make_plus": (m.integers.two_minuses_make_plus, (-5, 3), 8),
    "sizes_added_first_sign_kept": (m.integers.sizes_added_first_sign_kept, (-7, 4), -11),
    "larger_minus_smaller": (m.integer_order.larger_minus_smaller, (3, 8), 5),
    "larger_size_is_larger": (m.integer_order.larger_size_is_larger, (-8, -3), -8),
    "negatives_multiply_to_negative": (m.integer_signs.negatives_multiply_to_negative, (4, 3), -12),
    "minus_inside_square": (m.integer_signs.minus_inside_square, (3,), 9),
    "add_across": (m.fractions.add_across, (1, 3, 1, 4), (2, 7)),
    "denominators_only_scaled": (m.fractions.denominators_only_scaled, (1, 3, 1, 4), (2, 12)),
    "larger_denominator_is_larger": (m.fraction_sizes.larger_denominator_is_larger, (1, 5, 8), (1, 8)),
    "smaller_gap_is_larger": (m.fraction_sizes.smaller_gap_is_larger, ((3, 5), (5, 8)), (3, 5)),
    "cancel_equal_digits": (m.fraction_sizes.cancel_equal_digits, (13, 39), (1, 9)),
    "multiply_keeps_denominator": (m.fraction_products.multiply_keeps_denominator, (2, 3, 5), (6, 5)),
    "multiply_crosswise": (m.fraction_products.multiply_crosswise, (2, 3, 4, 5), (10, 12)),
    "divide_flips_first": (m.fraction_products.divide_flips_first, (2, 3, 4, 5), (12, 10)),
    "mixed_smaller_from_larger": (m.mixed_numbers.mixed_smaller_from_larger, (5, 1, 2, 3, 4), (3, 2)),
    "mixed_borrows_ten": (m.mixed_numbers.mixed_borrows_ten, (5, 1, 2, 3, 4), (2, 8)),
    "one_part_only": (m.mixed_numbers.one_part_only, (20, 3, 4), 5),
    "digits_right_aligned": (m.decimals.digits_right_aligned, (Decimal("2.5"), Decimal("0.34")), Decimal("0.59")),
    "sides_added_separately": (m.decimals.sides_added_separately, (Decimal("3.7"), Decimal("2.6")), "5.13"),
    "missing_digit_copied": (m.decimals.missing_digit_copied, (Decimal("7.5"), Decimal("2.38")), Decimal("5.28")),
    "product_keeps_places": (m.decimal_products.product_keeps_places, (Decimal("0.3"), Decimal("0.4")), Decimal("1.2")),
    "longer_is_larger": (m.decimal_sizes.longer_is_larger, (Decimal("0.45"), Decimal("0.6")), Decimal("0.45")),
    "shorter_is_larger": (m.decimal_sizes.shorter_is_larger, (Decimal("0.75"), Decimal("0.4")), Decimal("0.4")),
    "times_ten_appends_zero": (m.decimal_products.times_ten_appends_zero, (Decimal("3.7"),), "3.70"),
    "bar_becomes_point": (m.decimal_notation.bar_becomes_point, (Fraction(1, 4),), "1.4"),
    "digit_becomes_denominator": (m.decimal_notation.digit_becomes_denominator, (Decimal("0.4"),), Fraction(1, 4)),
}

# Worked by hand: (what the faulty procedure gives, what the student's reasoning gives on paper).
WORKED_BY_HAND = {
    "percent_reverse_base": (m.percent_ratio.add_discount_back(Fraction(60), 20), 60 + 12),  # 20% of the reduced 60
    "percents_added": (m.percent_ratio.add_percents(500, 10, 20), 500 + 150),  # 10% + 20% = 30% of 500
    "percent_undone": (m.percent_ratio.add_percents(400, 30, -30), 400),
    "percent_point_shift": (m.percent_ratio.tenths_for_percent(5, 300), 150),  # 0.5 * 300
    "ratio_additive": (m.ratio.add_the_difference(2, 3, 6), 7),  # 2 -> 6 is 4 more, 3 + 4
    "ratio_part_as_whole": (m.ratio.part_over_part(2, 3, 30), 20),  # 2/3 of 30
    "inverse_as_direct": (m.ratio.scale_along(8, 2), 16),
    "affine_as_proportional": (m.ratio.scale_along(13, 3), 39),
    "unit_wrong_direction": (m.measurement.multiply_always(250, 100), 25000),
    "square_unit_linear": (m.measurement.linear_factor(3, 100), 300),
    "decimal_hours_as_minutes": (m.measurement.hundredths_as_minutes(Fraction("2.25")), 2 * 60 + 25),
    # 9:50 to 12:20: 11 h 120 min minus 9 h 50 min.
    "elapsed_borrow_100": (m.measurement.subtract_base_100(9 * 60 + 50, 12 * 60 + 20), (2, 70)),
    "distribute_first_only": (m.algebra.expand_first_only(3, 4), (3, 4)),  # 3(x + 4) -> 3x + 4
    "square_of_sum": (m.algebra.square_each(5), (1, 0, 25)),  # (x + 5)^2 -> x^2 + 25
    "conjoin_unlike_terms": (m.algebra.join_all(2, 3, 4), (9, 0)),  # 2x + 3 + 4x -> 9x
    "cancel_single_term": (m.algebra.cancel_first(12), (1, 12)),  # (6x + 12) / 6 -> x + 12
    "moved_without_sign_change": (m.equations.move_keeping_sign(2, 6, 14), 10),  # 2x = 14 + 6
    "reversal_error": (m.equations.words_in_order(6), (6, 1)),  # 6S = P
    "inequality_not_flipped": (m.equations.keep_direction(3, "<", 12), ("<", -4)),  # -3x < 12 -> x < -4
    "letter_as_digit": (m.equations.join_digits(3, 5), 35),
    "exponents_multiplied": (m.powers.multiply_exponents(3, 4), 12),
    "zero_exponent_is_zero": (m.powers.zero_power(7), 0),
    "negative_exponent_is_negative": (m.powers.negative_power(2, 3), -8),
    "minus_before_bracket": (m.powers.subtract_first_term(9, 4, 5), (5, -5)),  # 9x - (4x - 5) -> 5x - 5
    # Two misses, then a third one: 1 - 1/2 * 1/2 * 1/2.
    "gamblers_fallacy": (chances.due_probability(Fraction(1, 2), 2), Fraction(7, 8)),
    "equiprobability_bias": (chances.equal_sums(6), Fraction(1, 11)),
    "probabilities_added_for_and": (chances.add_for_both(Fraction(1, 2), Fraction(1, 3)), Fraction(5, 6)),
    "without_replacement_as_with": (chances.same_chance_twice(3, 5), Fraction(9, 25)),
    "mean_ignores_frequencies": (m.averages.mean_of_values([2, 5, 8]), 5),
    "median_unsorted": (m.averages.middle_as_listed([9, 1, 7, 3, 5]), 7),
    "mean_of_group_means": (m.averages.midpoint(60, 80), 70),
    "mean_of_speeds": (m.averages.midpoint(40, 60), 50),
    "perimeter_for_area": (m.geometry.add_sides(7, 3), 20),
    "triangle_area_without_half": (m.geometry.base_times_height(8, 5), 40),
    "area_scaled_like_length": (m.geometry.scale_linearly(12, 3), 36),
    "hypotenuse_as_sum_of_legs": (m.geometry.root_term_by_term(3, 4), 7),
}

EXPR = r"-?[$]?\d[\d.]*%?(?:\s*[-+*/^]\s*-?[$]?\d[\d.]*%?)*"
CHAIN = re.compile(rf"(?<![\w.^)/*-])(?<![*/+-] ){EXPR}(?:\s*=\s*{EXPR})+(?![A-Za-z\d(])")


def calculate(text: str, **letters: int) -> Fraction:
    """Exact value of an arithmetic expression; written for the tests, independent of the library."""
    text = re.sub(r"(\d)\s*([a-z(])", r"\1*\2", text.strip(" .,").replace("$", "").replace("^", "**"))
    text = text.replace("%", "/100")
    exact = re.sub(r"(?<!\*\*)(?<!\*\*-)\b\d+(?:\.\d+)?", lambda match: f"Fraction('{match.group()}')", text)
    return Fraction(eval(exact, {"Fraction": Fraction}, letters))


def value(shown: str) -> object:
    """What a displayed answer is worth: minutes, a relation, an expression at some points, or a number."""
    if time := re.fullmatch(r"(\d+) h (\d+) min", shown):
        return int(time[1]) * 60 + int(time[2])
    if relation := re.fullmatch(r"[a-z] ([<>]) (-?\d+)", shown):
        return relation.groups()
    if equation := re.fullmatch(r"(\w+) = (\w+)", shown):
        left, right = (Fraction(re.sub(r"\D", "", side) or 1) for side in equation.groups())
        return left / right
    if re.search(r"\d?[a-z](\^| |$)", shown) and not re.search(r" [a-z/]+$", shown):
        letter = re.search(r"[a-z]", shown)[0]
        return tuple(calculate(shown, **{letter: point}) for point in (2, 3, 10))
    (number,) = numbers(shown)
    return number


def skeleton(question: str) -> str:
    """The template behind a question: numbers, names, things and places are blanked out."""
    return re.sub("|".join((*NAMES, *THINGS, *PLACES, r"[-$]*\d[\d.:/]*")), "#", question)[:25]


def test_every_misconception_is_worked_by_hand() -> None:
    assert sorted(CALLED_BY_HAND) == sorted(one.id for one in ARITHMETIC)
    assert sorted(WORKED_BY_HAND) == sorted(one.id for one in REASONING)
    assert min(len(ARITHMETIC), len(REASONING)) >= 24


@pytest.mark.parametrize("name", [*CALLED_BY_HAND, *WORKED_BY_HAND])
def test_procedure_gives_what_the_reasoning_gives_by_hand(name: str) -> None:
    *called, expected = CALLED_BY_HAND.get(name) or WORKED_BY_HAND[name]
    assert (called[0](*called[1]) if name in CALLED_BY_HAND else called[0]) == expected


@EACH
def test_area_and_citation(one: Misconception) -> None:
    assert one in REASONING or one in AREAS[one.area].MISCONCEPTIONS
    assert one.name
    assert re.search(r"\b(19|20)\d\d\b|Ashlock", one.source)


@EACH
def test_answers_and_work(one: Misconception) -> None:
    for case in cases_of(one):
        assert value(case.answer) != value(case.wrong_answer), case
        for line, shown in ((case.work[-1], case.wrong_answer), (case.solution[-1], case.answer)):
            assert mentions(line, shown), line
            assert line.endswith(shown) if one in ARITHMETIC else shown in line
        assert 0 <= case.wrong_step < len(case.work)
        if one in ARITHMETIC:
            answer, wrong = numbers(case.answer), numbers(case.wrong_answer)
            assert len(answer) == len(wrong) == 1
            assert numbers(case.work[-1])[-1:] == wrong
            assert all(numbers(line)[-1:] != answer for line in case.work[: case.wrong_step + 1]), case.work


@EACH
def test_texts_keep_the_answer_and_fit_their_frames(one: Misconception) -> None:
    for case in cases_of(one):
        assert all(len(set(group)) >= 3 for group in (case.probes, case.hints, case.actions))
        spoken = (*case.probes, *case.hints, *case.actions, case.place, case.cause, case.wrong_place, case.topic)
        assert [text for text in spoken if mentions(text, case.answer)] == []
        for text in (*spoken, case.question, *case.work, *case.solution):
            assert text == text.strip()
            assert not set("{}|\\") & set(text)
        assert all(probe.endswith("?") for probe in case.probes)
        assert all(hint.endswith(".") for hint in case.hints)
        assert all(action[0].islower() and action[-1] not in ".?!" for action in case.actions)
        assert case.cause.startswith("you ")
        if one in ARITHMETIC:
            assert all(probe[0].isupper() for probe in case.probes)
            assert all(place.startswith("the ") for place in (case.place, case.wrong_place))
            assert case.wrong_place != case.place


@EACH
def test_same_seed_same_case_and_varied_questions(one: Misconception) -> None:
    cases = cases_of(one)
    assert list(cases) == [one.make(Random(seed)) for seed in SEEDS]
    assert len({skeleton(case.question) for case in cases}) >= 4
    assert len({case.question for case in cases}) >= 30


def test_correct_answers_are_exact() -> None:
    """Spot check against independent arithmetic: the numbers of bare sums give the stated answer."""
    checked = 0
    for name, operation in (("add_across", Fraction.__add__), ("multiply_crosswise", Fraction.__mul__)):
        one = next(entry for entry in ARITHMETIC if entry.id == name)
        for seed in range(80):
            case = one.make(Random(seed))
            if case.question.startswith("Work out"):
                x, y = numbers(case.question)
                assert numbers(case.answer) == [operation(x, y)]
                checked += 1
    assert checked >= 10


def test_arithmetic_of_solutions_and_of_the_work_before_the_mistake_is_true() -> None:
    checked = 0
    for case in (case for one in REASONING for case in cases_of(one)):
        for line in (*case.solution, *case.work[: case.wrong_step]):
            for chain in CHAIN.findall(line):
                sides = [calculate(side) for side in chain.split("=")]
                assert len(set(sides)) == 1, line
                checked += 1
    assert checked > 1000


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (num(Fraction(-1, 8)), "-0.125"), (num(Fraction(2, 3)), "2/3"), (num(1200), "1200"),
        (money(Fraction(91, 2)), "$45.50"), (poly((1, 0, -9)), "x^2 - 9"), (poly((-1, 1)), "-x + 1"),
        (poly((0, 0)), "0"),
    ],
)  # fmt: skip
def test_numbers_are_written_exactly(shown: str, expected: str) -> None:
    assert shown == expected
    with pytest.raises(ValueError, match="whole number of cents"):
        money(Fraction(1, 3))


def test_a_sheet_with_missing_or_unknown_keys_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown keys \['idd'\]"):
        read_sheet("idd: x")
    with pytest.raises(ValueError, match="'slip'"):
        misconception(m.ratio.ADDITIVE.replace("slip:", "work:"), m.ratio._additive)
