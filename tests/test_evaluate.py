"""Measuring a finished run again gives what the run itself measured, and refuses what it cannot mean."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.errors import UserError
from edu_align.evaluate import _split, evaluate


def test_a_run_measures_the_same_again(runs: Callable[[str], Any], outputs: Path, capsys: Any) -> None:
    observed = runs("dpo_on_sft")
    first = json.loads((observed.path / "evaluation.json").read_text())
    again = evaluate(str(observed.path), {}, outputs)
    for when in ("before", "after"):
        for name, entry in first[when].items():
            if "value" in entry:
                assert again[when][name]["value"] == pytest.approx(entry["value"], abs=1e-6)
    assert "pair_accuracy_implicit" in capsys.readouterr().out


def test_the_other_split_holds_other_groups(runs: Callable[[str], Any], outputs: Path) -> None:
    result = evaluate("sft", {"evaluation.split": "validation", "evaluation.max_groups": "2"}, outputs)
    assert result["after"]["settings"]["groups"] == 2
    runs("sft")


@pytest.mark.parametrize("word", ["trainer.beta=1", "model=zephyr", "seed=3"])
def test_settings_of_a_finished_run_stay(word: str) -> None:
    with pytest.raises(UserError, match=r"a finished run keeps its settings"):
        _split(word)


def test_a_wrong_value_is_named(runs: Callable[[str], Any], outputs: Path) -> None:
    run = str(runs("sft").path)
    with pytest.raises(UserError, match=r"evaluation\.max_groups=many"):
        evaluate(run, {"evaluation.max_groups": "many"}, outputs)
    with pytest.raises(UserError, match=r"evaluation\.split"):
        evaluate(run, {"evaluation.split": "train"}, outputs)
    with pytest.raises(UserError, match=r"evaluation\.splitt"):
        evaluate(run, {"evaluation.splitt": "test"}, outputs)
