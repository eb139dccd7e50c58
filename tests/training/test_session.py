"""What a session says on its way."""

from edu_align.training.session import measuring_line


def test_a_run_that_measures_for_longer_than_it_trains_says_what_shortens_it() -> None:
    line = measuring_line(25.4, 3.2)
    assert "took 25 s beside 3 s" in line
    assert "evaluation.max_groups=100" in line
    assert measuring_line(25.4, 30.0) == ""
    assert measuring_line(9.0, 1.0) == ""
