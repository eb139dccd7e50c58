"""The same config twice on one machine, in fresh folders: the same bytes. And kills that change none (slow)."""

from pathlib import Path
from typing import Any

import pytest

from torture.__main__ import table
from torture.kills import configurations, torture
from torture.outcome import differing, outcome
from torture.process import NAMES, preload


@pytest.mark.parametrize("trainer", [pytest.param("sft", marks=pytest.mark.slow), "dpo"])
def test_the_same_config_twice_gives_the_same_bytes(go: Any, trainer: str) -> None:
    words = [f"trainer={trainer}", "trainer.max_steps=4", "adapter.dropout=0.1"]
    found = [outcome(go(*words, root=root).path) for root in ("one", "two")]
    assert set(found[0]) == {"weights", "metrics.jsonl", "run.json", "samples.jsonl", "evaluation.json"}
    assert found[0] == found[1]
    assert differing(found[0], outcome(go(*words, "seed=43", root="three").path)) > 1000


def test_differing_bytes_are_counted() -> None:
    assert differing({"a": b"abc", "b": b"x"}, {"a": b"abd", "b": b"x"}) == 1
    assert differing({"a": b"abc"}, {"a": b"ab", "b": b"xy"}) == 3


@pytest.mark.slow
def test_eight_kills_at_random_moments_change_no_byte(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    preload()
    tallies = torture(configurations(), 8, 7, tmp_path, lambda line: None)
    assert [tally.kills for tally in tallies] == [1] * 8
    assert sum(tally.differing for tally in tallies) == 0
    assert sum(tally.damaged for tally in tallies) == 0
    assert all(phase in NAMES for tally in tallies for phase in tally.hit)
    with capfd.disabled():
        print(f"\n{table(tallies)}")
