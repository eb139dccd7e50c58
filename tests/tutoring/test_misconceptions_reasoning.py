"""The second half of the misconception library: percent and ratio, measurement, algebra, probability, geometry."""

import re
from fractions import Fraction
from random import Random

import pytest

from edu_align.tutoring.contexts import misconception, money, num, poly, read_sheet
from edu_align.tutoring.draw import NAMES, THINGS
from edu_align.tutoring.misconceptions import (
    algebra,
    averages,
    equations,
    geometry,
    measurement,
    percent_ratio,
    powers,
    probability_statistics,
    ratio,
)
from edu_align.tutoring.text import mentions, numbers

MODULES = (percent_ratio, measurement, algebra, probability_statistics, geometry)
ALL = tuple(one for module in MODULES for one in module.MISCONCEPTIONS)
SEEDS = range(50)

# Worked by hand: (what the faulty procedure gives, what the student's reasoning gives on paper).
BY_HAND = {
    # 20% of the reduced 60 are 12; 60 + 12.
    "percent_reverse_base": (percent_ratio.add_discount_back(Fraction(60), 20), 72),
    # 10% + 20% = 30% of 500 are 150; 500 + 150.
    "percents_added": (percent_ratio.add_percents(500, 10, 20), 650),
    "percent_undone": (percent_ratio.add_percents(400, 30, -30), 400),
    "percent_point_shift": (percent_ratio.tenths_for_percent(5, 300), 150),  # 0.5 * 300
    "ratio_additive": (ratio.add_the_difference(2, 3, 6), 7),  # 2 -> 6 is 4 more, 3 + 4
    "ratio_part_as_whole": (ratio.part_over_part(2, 3, 30), 20),  # 2/3 of 30
    "inverse_as_direct": (ratio.scale_along(8, 2), 16),
    "affine_as_proportional": (ratio.scale_along(13, 3), 39),
    "unit_wrong_direction": (measurement.multiply_always(250, 100), 25000),
    "square_unit_linear": (measurement.linear_factor(3, 100), 300),
    "decimal_hours_as_minutes": (measurement.hundredths_as_minutes(Fraction("2.25")), 2 * 60 + 25),
    # 9:50 to 12:20: 11 h 120 min minus 9 h 50 min.
    "elapsed_borrow_100": (measurement.subtract_base_100(9 * 60 + 50, 12 * 60 + 20), (2, 70)),
    "distribute_first_only": (algebra.expand_first_only(3, 4), (3, 4)),  # 3(x + 4) -> 3x + 4
    "square_of_sum": (algebra.square_each(5), (1, 0, 25)),  # (x + 5)^2 -> x^2 + 25
    "conjoin_unlike_terms": (algebra.join_all(2, 3, 4), (9, 0)),  # 2x + 3 + 4x -> 9x
    "cancel_single_term": (algebra.cancel_first(12), (1, 12)),  # (6x + 12) / 6 -> x + 12
    "moved_without_sign_change": (equations.move_keeping_sign(2, 6, 14), 10),  # 2x = 14 + 6
    "reversal_error": (equations.words_in_order(6), (6, 1)),  # 6S = P
    "inequality_not_flipped": (equations.keep_direction(3, "<", 12), ("<", -4)),  # -3x < 12 -> x < -4
    "letter_as_digit": (equations.join_digits(3, 5), 35),
    "exponents_multiplied": (powers.multiply_exponents(3, 4), 12),
    "zero_exponent_is_zero": (powers.zero_power(7), 0),
    "negative_exponent_is_negative": (powers.negative_power(2, 3), -8),
    "minus_before_bracket": (powers.subtract_first_term(9, 4, 5), (5, -5)),  # 9x - (4x - 5) -> 5x - 5
    # Two misses, then a third one: 1 - 1/2 * 1/2 * 1/2.
    "gamblers_fallacy": (probability_statistics.due_probability(Fraction(1, 2), 2), Fraction(7, 8)),
    "equiprobability_bias": (probability_statistics.equal_sums(6), Fraction(1, 11)),
    "probabilities_added_for_and": (
        probability_statistics.add_for_both(Fraction(1, 2), Fraction(1, 3)),
        Fraction(5, 6),
    ),
    "without_replacement_as_with": (probability_statistics.same_chance_twice(3, 5), Fraction(9, 25)),
    "mean_ignores_frequencies": (averages.mean_of_values([2, 5, 8]), 5),
    "median_unsorted": (averages.middle_as_listed([9, 1, 7, 3, 5]), 7),
    "mean_of_group_means": (averages.midpoint(60, 80), 70),
    "mean_of_speeds": (averages.midpoint(40, 60), 50),
    "perimeter_for_area": (geometry.add_sides(7, 3), 20),
    "triangle_area_without_half": (geometry.base_times_height(8, 5), 40),
    "area_scaled_like_length": (geometry.scale_linearly(12, 3), 36),
    "hypotenuse_as_sum_of_legs": (geometry.root_term_by_term(3, 4), 7),
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
    """The question without its numbers, names and objects."""
    return re.sub("|".join((*NAMES, *THINGS, r"[-$]*\d[\d.:/]*")), "#", question)[:25]


@pytest.fixture(scope="module")
def cases():
    return {one.id: [one.make(Random(seed)) for seed in SEEDS] for one in ALL}


def test_library_is_complete_and_ids_are_unique():
    assert len(ALL) == len({one.id for one in ALL}) == len(BY_HAND) >= 24
    assert all(re.search(r"\b(19|20)\d\d\b", one.source) for one in ALL)


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.id)
def test_procedure_gives_what_the_reasoning_gives_by_hand(one):
    computed, expected = BY_HAND[one.id]
    assert computed == expected


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.id)
def test_cases_keep_the_contract(one, cases):
    for seed, case in zip(SEEDS, cases[one.id], strict=True):
        assert value(case.answer) != value(case.wrong_answer), case
        assert case.wrong_answer in case.work[-1], case.work
        assert mentions(case.work[-1], case.wrong_answer), case.work
        assert case.answer in case.solution[-1], case.solution
        assert mentions(case.solution[-1], case.answer), case.solution
        assert min(len(case.probes), len(case.hints), len(case.actions)) >= 3
        assert 0 <= case.wrong_step < len(case.work)
        assert all(probe.endswith("?") for probe in case.probes)
        assert all(hint.endswith(".") for hint in case.hints)
        assert all(action[0].islower() and not action.endswith(".") for action in case.actions)
        assert case.cause.startswith("you ")
        texts = (case.question, *case.work, *case.probes, *case.hints, *case.actions, *case.solution)
        assert all(text == text.strip() and not set("{}|\\") & set(text) for text in texts)
        if seed < 5:
            assert one.make(Random(seed)) == case


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.id)
def test_nothing_that_a_tutor_may_say_holds_the_answer(one, cases):
    for case in cases[one.id]:
        said = (*case.probes, *case.hints, *case.actions, case.topic, case.place, case.cause, case.wrong_place)
        assert [text for text in said if mentions(text, case.answer)] == []


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.id)
def test_questions_vary(one, cases):
    assert len({skeleton(case.question) for case in cases[one.id]}) >= 4
    assert len({case.question for case in cases[one.id]}) >= 30


def test_arithmetic_of_solutions_and_of_the_work_before_the_mistake_is_true(cases):
    checked = 0
    for case in (case for drawn in cases.values() for case in drawn):
        for line in (*case.solution, *case.work[: case.wrong_step]):
            for chain in CHAIN.findall(line):
                sides = [calculate(side) for side in chain.split("=")]
                assert len(set(sides)) == 1, line
                checked += 1
    assert checked > 1000


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (num(Fraction(-1, 8)), "-0.125"),
        (num(Fraction(2, 3)), "2/3"),
        (num(1200), "1200"),
        (money(Fraction(91, 2)), "$45.50"),
        (poly((1, 0, -9)), "x^2 - 9"),
        (poly((-1, 1)), "-x + 1"),
        (poly((0, 0)), "0"),
    ],
)
def test_numbers_are_written_exactly(shown, expected):
    assert shown == expected


def test_money_needs_whole_cents():
    with pytest.raises(ValueError, match="whole number of cents"):
        money(Fraction(1, 3))


def test_a_sheet_with_missing_or_unknown_keys_is_refused():
    with pytest.raises(ValueError, match=r"unknown keys \['idd'\]"):
        read_sheet("idd: x")
    with pytest.raises(ValueError, match="'slip'"):
        misconception(ratio.ADDITIVE.replace("slip:", "work:"), ratio._additive)
