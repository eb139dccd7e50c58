"""A reward model stands beside the models that write, orders the same pairs, and scores what the others wrote."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edu_align.evaluate import evaluate, evaluate_model
from edu_align.evaluation.suite.context_use import context_use
from edu_align.evaluation.suite.data import Settings
from edu_align.evaluation.suite.leak import CONSTANT
from edu_align.evaluation.suite.pair_accuracy import model_scores
from edu_align.evaluation.suite.reward import HUMAN, SAYS_NOTHING
from edu_align.records import Message
from edu_align.utils.errors import UserError
from tests.evaluation.suite.subjects import ReadingSubject, dialogue
from tests.test_evaluate import offline  # noqa: F401 (a fixture)

FEW = {"evaluation.max_groups": "2"}
EXPERT_WORDS = ("One piece of a cake is a fourth", "Ten tens make a hundred", "A dozen eggs are twelve",
                "Five fingers on a hand", "Seven days in a week", "Nine planets were counted", "Six sides of a die",
                "Three corners of a triangle")  # fmt: skip


def overlap(prompt: Sequence[Message], text: str) -> float:
    """A reward that reads the dialogue."""
    return float(len(set(text.split()) & {word for turn in prompt for word in turn.content.split()}))


def test_the_head_alone_orders_pairs() -> None:
    subject = ReadingSubject(reward=lambda prompt, text: float(len(text)), reference=lambda prompt, text: (0.0, 1))
    group = dialogue("q", "2 + 3?", {"Expert": ("Count on.", 8.0), "Novice": ("5", 0.0)})
    assert model_scores(subject, [group]) == {"reward": [(9.0, 1.0)]}


def test_context_is_read_by_reward() -> None:
    groups = [dialogue(f"q{i}", words, {"Expert": (words, 8.0)}) for i, words in enumerate(EXPERT_WORDS)]
    data: Any = SimpleNamespace(mrbench=groups, mrbench_training=groups)
    found = context_use(ReadingSubject(reward=overlap), data, Settings())
    assert list(found.measured) == ["context_use/reward"]
    assert set(found.measured["context_use/reward"].values) == {1.0}


def test_a_reward_run_is_measured_beside_its_base(runs: Callable[[str], Any], outputs: Path, capsys: Any) -> None:
    names = "[pair_accuracy_own,form_own,human_turn_nll]"
    rows = evaluate(str(runs("reward_on_sft").path), FEW | {"evaluation.metrics": names}, outputs)
    by_name = {(row["name"], row["label"]): row for row in rows}
    labels = {label for _, label in by_name}
    assert labels == {"base", "SFT", "REWARD"}
    own = {name for name, label in by_name if label == "REWARD"}
    name = "pair_accuracy_edu_tutor"
    assert own == {f"{name}/reward", f"{name}_no_dialogue/reward", f"{name}_dialogue_effect/reward"}
    assert {"chance", "longer", "bag_of_words"} <= by_name[f"{name}/reward", "REWARD"]["baselines"].keys()
    said = capsys.readouterr().out
    assert "form_own left out: REWARD is a reward model, which writes no replies" in said
    assert "human_turn_nll left out: REWARD is a reward model, which gives no likelihoods" in said


def test_it_measures_what_training_measured(runs: Callable[[str], Any], outputs: Path) -> None:
    run = runs("reward_full")
    words = {"evaluation.max_groups": "4", "evaluation.metrics": "[pair_accuracy_own]"}
    rows = evaluate(str(run.path), words, outputs)
    (row,) = (row for row in rows if row["name"] == "pair_accuracy_edu_tutor/reward")
    assert row["value"] == run.record["metrics"]["eval/pair_accuracy_reward"]


def test_it_scores_what_others_wrote(runs: Callable[[str], Any], outputs: Path) -> None:
    scorer, run = runs("reward"), runs("sft")
    words = FEW | {"evaluation.metrics": "[form_own]", "reward": scorer.path.name}
    rows = [row for row in evaluate(str(run.path), words, outputs) if row["metric"] == "reward"]
    assert [row["label"] for row in rows] == ["base", "SFT"] * 2
    assert {row["name"] for row in rows} == {"reward/edu_tutor", "reward_wins/edu_tutor"}
    for row in rows:
        assert row["baselines"].keys() == {SAYS_NOTHING, *([HUMAN] if row["name"].startswith("reward/") else [])}
        assert row["low"] <= row["value"] <= row["high"]
        assert row["n"] == 2
    assert rows[1]["difference_to_base"]["n"] == 2
    kept = json.loads((run.path / "evaluation" / "reward-test.json").read_text())
    assert kept["reward"] == scorer.path.name
    assert CONSTANT in kept["SFT"]["definition"]


def test_a_run_that_writes_is_no_scorer(runs: Callable[[str], Any], outputs: Path) -> None:
    with pytest.raises(UserError, match="`reward=sft` is no reward model: that run was trained with trainer=sft"):
        evaluate(str(runs("sft").path), FEW | {"reward": "sft"}, outputs)
    with pytest.raises(UserError, match="`reward=nothing`: no run"):
        evaluate_model({"model": "tiny", "reward": "nothing", "outputs_root": str(outputs)})
