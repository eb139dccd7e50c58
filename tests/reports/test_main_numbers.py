"""A finished run's main numbers: before and after, beside the strongest baseline."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.evaluation.preference import evaluate_preferences
from edu_align.reports.run_end import main_numbers
from tests.evaluation.builders import scored
from tests.evaluation.test_preference import many


def test_what_a_preference_run_brought(tmp_path: Path) -> None:
    assert main_numbers(tmp_path) == []
    before, after = many(0.5), many(0.9)
    items = [scored(new.group, new.logp, new.tokens, old.logp) for new, old in zip(after, before, strict=True)]
    options = {"seed": 0, "samples": 200}
    parts = {
        "before": evaluate_preferences(before, 2.0, **options),
        "after": evaluate_preferences(items, 2.0, **options),
    }
    (tmp_path / "evaluation.json").write_text(json.dumps(parts))
    implicit, likely = main_numbers(tmp_path)
    assert (implicit.name, likely.name) == ("pair_accuracy_implicit", "pair_accuracy_mean_logp")
    assert implicit.before is None
    assert likely.before == parts["before"]["pair_accuracy_mean_logp"]
    assert likely.change == likely.after["change"]
    assert likely.beaten is True
    assert likely.strongest_value == parts["after"]["baselines"]["pair_accuracy"][str(likely.strongest)]["value"]
    line = likely.sentence()
    assert f"{likely.before['value']:.3f} ({likely.before['low']:.3f} to " in line
    assert "changed by +0." in line
    assert f"beats the rule {likely.strongest!r}" in line
    assert "not shown to beat" in main_numbers_of(tmp_path, parts["before"], parts["before"])


def main_numbers_of(folder: Path, before: dict[str, Any], after: dict[str, Any]) -> str:
    flat = {**after, "pair_accuracy_mean_logp": {**after["pair_accuracy_mean_logp"], "beats_baseline": False}}
    (folder / "evaluation.json").write_text(json.dumps({"before": before, "after": flat}))
    return main_numbers(folder)[0].sentence()


def test_what_a_conversation_run_brought(runs: Callable[[str], Any]) -> None:
    found = {number.name: number for number in main_numbers(runs("sft").path)}
    nll = found["human_turn_nll"]
    assert nll.before is not None
    assert nll.change is not None
    assert nll.change["value"] == pytest.approx(nll.after["value"] - nll.before["value"])
    assert nll.change["low"] < nll.change["value"] < nll.change["high"]
    assert "nats a token, lower is better" in nll.sentence()
