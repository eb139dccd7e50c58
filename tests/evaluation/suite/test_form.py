"""Metric 5: the form of a reply, counted by hand."""

import numpy as np
import pytest

from edu_align.evaluation.suite.form import PANEL, form_panel, has_role, is_empty, is_unfinished, repetition
from edu_align.evaluation.suite.prompts import Generated, Prompt, of_groups
from edu_align.records import Message
from tests.evaluation.suite import real


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("one two three", 0.0),
        ("one two three four five", 0.0),
        ("a b c d a b c d", 1 / 5),  # abcd bcda cdab dabc abcd
        ("no no no no no no", 2 / 3),  # three 4-grams, all the same
        ("A b c d a B C D", 1 / 5),
    ],
)
def test_repetition_is_the_share_of_4_grams_that_came_before(text: str, wanted: float) -> None:
    assert repetition(text) == pytest.approx(wanted)


def test_labels_empties_and_ends() -> None:
    for text in ("Tutor: Look.", "**Teacher:** Look.", "Well.\nStudent: 4", "tutor response: Look.", "[Assistant]: a"):
        assert has_role(text), text
    for text in ("Look at the tutor.", "The student said: 4", "Users like: tea", "Teacher"):
        assert not has_role(text), text
    assert [is_empty(text) for text in ("", " ...\n", "4", "ja")] == [1.0, 1.0, 0.0, 0.0]
    assert [is_unfinished(t) for t in ("Look at", "Look.", 'Look."', "Why?", "", "1. First,", "(Why?)")] == [
        1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0,
    ]  # fmt: skip


def test_the_panel_stands_beside_the_human_on_the_same_prompts() -> None:
    turns = (Message("user", "2 + 2 = 5"),)
    prompts = (
        Prompt("a", "g1", "mrbench", turns, human="How many are two and two?"),
        Prompt("b", "g2", "mrbench", turns, human="Count again."),
        Prompt("c", "g3", "edu_tutor", turns),
    )
    result = form_panel(Generated(prompts, {"a": "Tutor: no", "b": "", "c": "x"}))
    assert set(result.measured) == set(PANEL) == set(result.baselines)
    assert result.measured["words"].items == ("a", "b")
    for name, values in (("words", (2.0, 0.0)), ("empty", (0.0, 1.0)), ("role_prefix", (1.0, 0.0))):
        assert result.measured[name].values == values
    for name, values in (("words", (6.0, 2.0)), ("question_rate", (1.0, 0.0))):
        assert result.baselines[name]["human tutor"].values == values
    assert "words: human tutors 4 words on these 2 prompts, 10th to 90th percentile 2.4 to 5.6" in result.notes
    assert form_panel(Generated(prompts[2:], {"c": "x"})).measured == {}  # no human to stand beside


@real.needs_data
def test_the_expert_of_the_real_dialogues(capsys: pytest.CaptureFixture[str]) -> None:
    """EVALUATION.md: the Expert asks in 0.62 of the replies and writes 17.7 words."""
    groups = [group for split in ("train", "validation", "test") for group in real.groups(split, "mrbench")]
    prompts = tuple(of_groups(groups, {}))
    result = form_panel(Generated(prompts, {one.item: "" for one in prompts}))
    with capsys.disabled():
        print("\n" + "\n".join(result.notes))
    expert = {name: np.mean(rules["human tutor"].values) for name, rules in result.baselines.items()}
    assert 0.5 < expert["question_rate"] < 0.75
    assert 14 < expert["words"] < 22
    assert expert["empty"] == 0
