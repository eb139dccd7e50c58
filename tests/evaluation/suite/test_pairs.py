"""Pairs, their weights, and what is left of a prompt without its dialogue."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from edu_align.data.records import Message
from edu_align.evaluation.suite.pair_accuracy import model_scores, pairs_over, without_dialogue

Make = Callable[..., Any]


def test_weights_are_those_of_the_definition(dialogue: Make) -> None:
    """A beats B in three dialogues, B beats A in one, and nobody answers C: 1/3, 1 and 0."""
    won = {"A": ("a", 8.0), "B": ("b", 2.0)}
    groups = [dialogue(f"q{i}", "?", won) for i in range(3)]
    groups.append(dialogue("q3", "?", {"A": ("a", 2.0), "B": ("b", 8.0), "C": ("c", 5.0)}))
    pairs = pairs_over(groups, 2.0, balanced=True)
    weights = dict(zip(pairs.items, pairs.weights, strict=True))
    assert weights["mrbench:row q0:0>1"] == pytest.approx(1 / 3)
    assert weights["mrbench:row q3:1>0"] == 1.0
    assert weights["mrbench:row q3:1>2"] == weights["mrbench:row q3:2>0"] == 0.0
    assert set(pairs_over(groups, 2.0).weights) == {1.0}


@pytest.mark.parametrize("seed", range(5))
def test_who_wrote_it_gives_one_half_when_balanced(dialogue: Make, seed: int) -> None:
    rng = Random(seed)
    quality = {name: rank / 4 for rank, name in enumerate("ABCDE")}
    groups = [
        dialogue(f"q{i}", "?", {name: (name, rng.randint(0, 8) + 4 * quality[name]) for name in quality})
        for i in range(20)
    ]
    scores = [tuple(quality[response.author] for response in group.responses) for group in groups]
    balanced = pairs_over(groups, 2.0, balanced=True).series(scores)
    total = sum(w * x for w, x in zip(balanced.weights, balanced.values, strict=True))
    assert total / sum(balanced.weights) == pytest.approx(0.5)
    raw = pairs_over(groups, 2.0).series(scores)
    assert sum(raw.values) / len(raw.values) > 0.6


def test_ties_count_one_half(dialogue: Make) -> None:
    groups = [dialogue("q", "?", {"A": ("a", 8.0), "B": ("b", 2.0), "C": ("c", 0.0)})]
    assert pairs_over(groups, 2.0).series([(0.0, 0.0, 1.0)]).values == (0.5, 0.0, 0.0)


def test_the_dialogue_goes_and_the_system_turn_stays() -> None:
    prompt = (
        Message("system", "Be kind."),
        Message("user", "2 + 3?"),
        Message("assistant", "Try."),
        Message("user", "4"),
    )
    assert without_dialogue(prompt) == (Message("system", "Be kind."), Message("user", ""))


def test_both_models_read_no_dialogue(dialogue: Make, scripted: Make) -> None:
    """Without the dialogue the implicit reward is a difference of two scores of the bare reply."""
    groups = [dialogue("q", "long dialogue", {"A": ("aa", 8.0), "B": ("b", 2.0)})]

    def own(prompt: Any, text: str) -> tuple[float, int]:
        return -float(len(prompt[-1].content) + len(text)), len(text)

    def reference(prompt: Any, text: str) -> tuple[float, int]:
        return -2.0 * len(prompt[-1].content), len(text)

    subject = scripted(own, reference)
    assert model_scores(subject, groups) == {"mean_logp": [(-7.5, -14.0)], "implicit": [(11.0, 12.0)]}
    assert model_scores(subject, groups, dialogue=False) == {"mean_logp": [(-1.0, -1.0)], "implicit": [(-2.0, -1.0)]}
    assert model_scores(scripted(own), groups).keys() == {"mean_logp"}
    longer = scripted(own, reference, lambda prompt, text: (-3.0 * len(prompt[-1].content), len(text)))
    assert model_scores(longer, groups)["implicit_from_base"] == [(24.0, 25.0)]
    assert model_scores(longer, groups)["implicit"] == [(11.0, 12.0)]


def test_the_effect_is_paired(dialogue: Make) -> None:
    pairs = pairs_over([dialogue("q", "?", {"A": ("a", 8.0), "B": ("b", 2.0), "C": ("c", 0.0)})], 2.0)
    assert pairs.effect([(3.0, 2.0, 1.0)], [(1.0, 1.0, 2.0)]).values == (0.5, 1.0, 1.0)
