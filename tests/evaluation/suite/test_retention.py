"""Metric 8: perturbed solutions that are plausible and never right, and who prefers the right one."""

from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from edu_align.data.questions import problem_key
from edu_align.data.readers import Row
from edu_align.evaluation.suite.reply_text import equations, swapped, value
from edu_align.evaluation.suite.retention import Problem, by_likelihood, exact_match, final, problems_of, wrong_answers
from tests.evaluation.suite import real
from tests.evaluation.suite.subjects import ModelSubject, ReadingSubject

ASKED = "3 bags of 4 nuts. Ann eats 2. How many are left?"
SOLVED = "How many? ** She has 3*4=<<3*4=12>>12 nuts.\nAnd left? ** So 12-2 = <<12-2=10>>10 nuts, yes 10.\n#### 10"
NO_EQUATIONS = [
    "2x + 3 + 4 = 9", "3 + 4 = 7x", "3^2 + 4 = 13", "20% + 40% = 60%", "134 / 24 = 5 r 14", "1 1/2 + 1/2 = 2",
    "4 / 2 = 1 1/2", "1 / 0 = 3", "7 = 8",
]  # fmt: skip
NUTS = Row({"question": ASKED, "answer": SOLVED}, "test.jsonl", 1)


def test_a_problem_has_one_hole_wherever_the_last_result_stands() -> None:
    (problem,) = problems_of([NUTS])
    assert problem.answers[0] == "10"
    assert problem.solution("10") == "She has 3*4=12 nuts.\nSo 12-2 = 10 nuts, yes 10.\nThe answer is 10."
    assert problem.solution("11") == "She has 3*4=12 nuts.\nSo 12-2 = 11 nuts, yes 11.\nThe answer is 11."
    assert [problem] == problems_of([NUTS]), "drawn from the content alone"
    assert len(set(map(Fraction, problem.answers))) == 4
    assert problem.answers[1] in {"14", "24", "6"}, "12 + 2, 12 * 2 or 12 / 2"


def test_seen_problems_and_those_without_a_calculation_are_left_out() -> None:
    assert problems_of([NUTS], {problem_key(NUTS.data["question"])}) == []
    other = {"question": "How many?", "answer": "It is ** <<1+1=2>>2\n#### 5"}
    assert problems_of([Row(other, "test.jsonl", 1), Row({**other, "answer": "5\n#### 5"}, "test.jsonl", 2)]) == []


@pytest.mark.parametrize("gold", ["0", "1", "5", "9", "10", "1000", "2.5", "0.5"])
def test_wrong_answers_are_three_and_wrong(gold: str) -> None:
    for seed in range(20):
        found = wrong_answers(Fraction(gold), "2*3", Random(seed))
        assert len(found) == len(set(found)) == 3
        assert Fraction(gold) not in found


def test_the_point_goes_to_the_likeliest_and_ties_share_it() -> None:
    problems = problems_of([NUTS])

    for liked, points in (("answer is 10.", 1.0), (f"answer is {problems[0].answers[2]}.", 0.0), ("answer is", 0.25)):
        subject = ReadingSubject(logp=lambda prompt, text, liked=liked: (0.0 if liked in text else -1.0, 5))
        assert by_likelihood(subject, problems).measured["retention/likelihood"].values == (points,)
    assert by_likelihood(ReadingSubject(), problems).baselines["retention/likelihood"]["chance"].values == (0.25,)


def test_a_random_model_is_at_chance(random_model: Callable[..., Any], bytes_tokenizer: Any) -> None:
    """Answers of one length, because a model that knows nothing likes the shortest."""
    problems = [
        Problem(f"p{n}", f"g{n}", f"{n} nuts?", f"{n} is \0.", (str(n), str(n + 1), str(n + 2), str(n - 1)))
        for n in range(15, 95)
    ]
    found = by_likelihood(ModelSubject(model=random_model(), tokenizer=bytes_tokenizer), problems)
    values = found.measured["retention/likelihood"].values
    assert len(values) == 80
    assert 0.05 < sum(values) / 80 < 0.55


def test_exact_match_reads_the_final_answer() -> None:
    assert final("3*4 = 12. The answer is $1,010.00, I think, of 7.") == 1010
    assert final("So the answer is 4. No, the answer is 5.") == 5
    assert final("12 - 2 = 10") == 10
    assert final("none") is None
    problems = problems_of([NUTS])
    right = exact_match(ReadingSubject(reply=lambda prompt: "The answer is 10.0."), problems)
    assert right.measured["retention/exact_match"].values == (1.0,)
    assert right.baselines["retention/exact_match"]["last number of the problem"].values == (0.0,)
    wrong = exact_match(ReadingSubject(reply=lambda prompt: "10? The answer is 9."), problems)
    assert wrong.measured["retention/exact_match"].values == (0.0,)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("3 + 4 = 7", [True]),
        ("(3 + 4) * $2.00 = $14 in all", [True]),
        ("(you wrote 3 + 4 = 8)", [False]),
        ("10/3 = 3.33", [True]),
        ("10 / 3 = 3.34", [False]),
        ("1,000 - 1 = 999.", [True]),
        ("3 x 4 = 12 and 3 × 4 = 13", [True, False]),
        ("x = 4 + 5 = 9", [True]),
        ("2 + 2 = 4 = 5 - 1", [True, True]),
        ("6 - (-2) = 8", [True]),
        ("1/2 + 1/3 = 5/6", [True]),
        ("60x1/2 = 30", [True]),
        *((text, []) for text in NO_EQUATIONS),
    ],
)
def test_written_equations(text: str, wanted: list[bool]) -> None:
    assert [one.holds for one in equations(text)] == wanted


def test_values_and_swapped_operations() -> None:
    assert value("2+3*(4-1)/.5") == 20
    assert [value(text) for text in ("1/0", "2**9", "len", "", "1+" * 300 + "1")] == [None] * 5
    assert swapped("12-2") == [14, 24, 6]
    assert swapped("6/3") == [9, 3, 18]


@real.needs_data
def test_the_real_problems() -> None:
    problems = problems_of(real.rows("gsm8k/test_socratic.jsonl"))
    assert len(problems) > 1100
    assert len({one.item for one in problems}) == len(problems)
    for one in problems:
        assert len(set(map(Fraction, one.answers))) == 4
        assert "<<" not in one.solution("1")
    first = sum(len(one.answers[0]) < min(map(len, one.answers[1:])) for one in problems) / len(problems)
    assert first < 0.05, "the gold answer is not the shortest one"
