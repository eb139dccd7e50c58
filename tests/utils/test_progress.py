"""Bars in a log file are lines now and then."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tqdm.std import tqdm

from edu_align.utils import output


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Seconds that the lines go by; bars are lines while the test runs."""
    now = [0.0]
    monkeypatch.setattr(tqdm, "display", tqdm.display)  # put back after the test
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    output.lines_in_a_log()
    return now


def test_a_long_loop_says_a_line_now_and_then(clock: list[float], capsys: Any) -> None:
    with tqdm(total=1000, desc="training", unit="step", mininterval=0, miniters=1) as bar:
        for step in range(1, 1001):
            clock[0] += 0.5
            bar.set_postfix({"loss": f"{1 / step:.3f}"}, refresh=False)
            bar.update()
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert "\r" not in err
    assert "" not in lines
    assert len(lines) == 16  # 500 s: one every 30 s, which comes before every tenth
    assert lines[0].startswith("edu_align: training: step 60 of 1000 (6%), loss 0.017, ")
    assert lines[0].endswith(" left")


def test_a_short_loop_says_nothing_and_one_of_seconds_every_tenth(clock: list[float], capsys: Any) -> None:
    for seconds, lines in ((0.01, 0), (0.4, 10)):
        with tqdm(total=100, desc="scoring", unit="reply", mininterval=0, miniters=1) as bar:
            for _ in range(100):
                clock[0] += seconds
                bar.update()
        assert len(capsys.readouterr().err.splitlines()) == lines


def test_the_last_step_is_said_once(clock: list[float], capsys: Any) -> None:
    with tqdm(total=3, desc="training", unit="step") as bar:
        bar.update(3)
        output.say(bar)
        output.say(bar)
    assert capsys.readouterr().err == "edu_align: training: step 3 of 3 (100%)\n"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"prefix": "model.safetensors", "n": 12 * 10**8, "total": 48 * 10**8, "unit": "B", "unit_scale": True},
         "model.safetensors: B 1.20G of 4.80G (25%), 30 s left"),
        ({"prefix": "Map: ", "n": 7, "total": None}, "Map: 7"),
        ({"prefix": None, "n": 5, "total": 10, "initial": 4, "postfix": "acc=1"}, "5 of 10 (50%), acc 1, 50 s left"),
    ],
)  # fmt: skip
def test_a_line_of_any_bar(state: dict[str, Any], said: str) -> None:
    common = {"unit": "it", "unit_scale": False, "postfix": None, "initial": 0, "elapsed": 10.0}
    assert output.line({**common, **state}) == said


def test_times_are_told_in_words() -> None:
    assert [output.duration(each) for each in (3, 89, 600, 5399, 9000)] == [
        "3 s",
        "89 s",
        "10 min",
        "90 min",
        "2.5 h",
    ]


def test_a_terminal_keeps_its_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    before = tqdm.display
    output.lines_in_a_log()
    assert tqdm.display is before
