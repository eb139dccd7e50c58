"""`mentions` finds a value as a number token and nothing that only looks like it."""

from fractions import Fraction

import pytest

from edu_align.tutoring.text import mentions, numbers

MENTIONED, NOT_MENTIONED = (
    [
        ("The result is 12.", "12"), ("So it is 1,250 in all", "1250"), ("So it is 1250 in all", "1,250"),
        ("about $1,250.50", "1250.5"), ("we get 7/12", "7/12"), ("we get 2 3/4 cups", "2 3/4"),
        ("we get 2 and 3/4 cups", "11/4"), ("half, or 2/4", "0.5"), ("write .5", "0.50"),
        ("it falls to -8 degrees", "-8"), ("(-8) is below", "-8"), ("\u22128 is below", "-8"), ("5-8", "8"),
        ("5 - 8", "8"), ("5 - -8", "-8"), ("-$8 is owed", "-8"), ("45cm", "45 cm"), ("the 45 on the ruler", "45 cm"),
        ("x is 4", "x = 4"), ("25 out of every hundred", "25%"), ("write 14 remainder 3", "14 r 3"),
        ("that makes 3x + 12.", "3x+12"), ("at 2:45 it rings", "2:45"), ("the 5m rope", "5 m"), ("-2 1/3", "-2 1/3"),
    ],
    [
        ("we get 7/12", "12"), ("we get 7/12", "7"), ("we get 17/12", "7/12"), ("we get 1 7/12", "7/12"),
        ("we get 7/120", "7/12"), ("120 and 3.12 and 12.5", "12"), ("1,250", "250"), ("0.05", "0.5"), ("10.5", "0.5"),
        ("minus -8", "8"), ("plus 8", "-8"), ("5 - 8", "-8"), ("the 8th step", "8"), ("x8", "8"),
        ("13x + 12", "3x + 12"), ("3x + 120", "3x + 12"), ("14 r 30", "14 r 3"), ("14 and 3", "14 r 3"),
        ("divide 12 / 4", "3"), ("nothing here", ""), ("6/0 has no value", "6"),
    ],
)  # fmt: skip


@pytest.mark.parametrize(("text", "value"), [*MENTIONED, *NOT_MENTIONED])
def test_mentions(text: str, value: str) -> None:
    assert mentions(text, value) == ((text, value) in MENTIONED)


def test_numbers_in_order() -> None:
    expected = [Fraction(-3), Fraction(1, 2), Fraction(2001, 2), Fraction(11, 4)]
    assert numbers("From -3 to 1/2, then 1,000.5 and 2 3/4.") == expected
