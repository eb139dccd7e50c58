"""BLEU against values computed by hand from its definition."""

import math

import pytest

from edu_align.evaluation.bleu import sentence_bleu, words


def test_words_and_signs() -> None:
    assert words('How much is $1,000.50, "Ann"?') == ["How", "much", "is", "$", "1,000.50", ",", '"', "Ann", '"', "?"]
    assert words("in 1990-91, x-ray") == ["in", "1990", "-", "91", ",", "x-ray"]
    assert words("end.") == ["end", "."]


@pytest.mark.parametrize(
    ("hypothesis", "references", "expected"),
    [
        ("How many are left ?", ["How many are left ?", "other"], 1.0),
        ("", ["a"], 0.0),
        ("x", ["a b c"], 0.0),
        ("How many", ["How many"], 1.0),  # two orders alone
        # 3 of 4 words, 1 of 3 pairs; no triple of two, no quadruple of one: 1/4 and 1/4
        ("a b x c", ["a b c d"], (3 / 4 * 1 / 3 * 1 / 4 * 1 / 4) ** 0.25),
        ("a b", ["a b c d"], math.exp(1 - 4 / 2)),  # too short
        ("a b c d", ["a b c d e f g", "a b c d e"], math.exp(1 - 5 / 4)),  # the nearest length
        ("a a a a", ["a b"], (1 / 4 * 1 / 6 * 1 / 8 * 1 / 8) ** 0.25),  # a word counts as often as the reference has it
    ],
)
def test_sentence_bleu(hypothesis: str, references: list[str], expected: float) -> None:
    assert sentence_bleu(hypothesis, references) == pytest.approx(expected)
