import json
import math
import random
import time

import pytest

from edu_align.evaluation.preference import evaluate_preferences, measure
from edu_align.utils.errors import UserError
from tests.evaluation.builders import group, scored


def test_known_pair_accuracies():
    # Pairs at margin 2: (0, 1), (0, 2); at margin 1 also (1, 2).
    items = [scored(group([5, 3, 2]), [-10.0, -8.0, -12.0], [10, 4, 3], [-20.0, -8.0, -11.0])]
    at_two = evaluate_preferences(items, 2.0, seed=0)
    assert at_two["pair_accuracy_logp"]["value"] == 0.5  # beats 2, loses to 1
    assert at_two["pair_accuracy_mean_logp"]["value"] == 1.0  # -1 > -2, -1 > -4
    assert at_two["pair_accuracy_implicit"]["value"] == 1.0  # 10 > 0, 10 > -1
    assert at_two["pair_accuracy_logp"]["n"] == 2
    assert not any("from_base" in name for name in at_two)
    at_one = evaluate_preferences(items, 1.0, seed=0)["pair_accuracy_logp"]
    assert (at_one["value"], at_one["n"]) == (pytest.approx(2 / 3), 3)


def test_a_second_reward_stands_beside_the_first_where_the_base_model_is_scored():
    # Pairs at margin 2: (0, 1), (0, 2). Against the reference 1, 2, 0; against the base 5, 2, 8.
    items = [scored(group([5, 3, 2]), [-10.0, -8.0, -12.0], None, [-11.0, -10.0, -12.0], [-15.0, -10.0, -20.0])]
    found = evaluate_preferences(items, 2.0, seed=0)
    for metric, of_reference, of_base in (("pair_accuracy", 0.5, 0.5), ("selection_score", 3.0, 2.0)):
        assert found[f"{metric}_implicit"]["value"] == of_reference
        assert found[f"{metric}_implicit_from_base"]["value"] == of_base


def test_ties_count_one_half_and_equal_texts_make_no_pair():
    items = [scored(group([5, 1]), [-3.0, -3.0]), scored(group([5, 1], ["same", "same"], key="g1"), [-1.0, -9.0])]
    found = evaluate_preferences(items, 2.0, seed=0)["pair_accuracy_logp"]
    assert (found["value"], found["n"]) == (0.5, 1)


def test_baselines_are_measured_on_the_very_same_pairs():
    texts = ["Why 15?", "It is thirty-six pens in all of the days"]
    human = [[5, 1], [1, 5], [5, 1], [5, 4]]  # the last is below the margin
    items = [
        scored(group(scores, texts, ["expert", "novice"], key=f"g{i}"), [-1.0, -2.0]) for i, scores in enumerate(human)
    ]
    training = [group([2, 1], authors=["novice", "expert"], key="train")]
    rules = evaluate_preferences(items, 2.0, seed=0, training_groups=training)["baselines"]["pair_accuracy"]
    third = pytest.approx(1 / 3)
    assert rules["chance"]["value"] == 0.5
    assert rules["longer"]["value"] == third  # the second text is longer and wins once
    assert rules["question_mark"]["value"] == pytest.approx(2 / 3)
    assert rules["overlap"]["value"] == pytest.approx(2 / 3)  # 1 of 2 words (15) against 3 of 10 (pens, in, days)
    assert rules["tutor_prior"]["value"] == third  # training says novice
    assert {entry["n"] for entry in rules.values()} == {3}


def test_single_author_gives_a_prior_of_one_half():
    (item, training) = (group(scores, authors=["llm", "llm"], key=str(scores)) for scores in ([5, 1], [2, 1]))
    found = evaluate_preferences([scored(item, [-1.0, -2.0])], 2.0, seed=0, training_groups=[training])
    assert found["baselines"]["pair_accuracy"]["tutor_prior"]["value"] == 0.5


def test_selection_score_and_its_baselines():
    texts = ["short", "two words", "three words now"]
    items = [
        scored(group([6, 3, 0], texts), [-1.0, -2.0, -3.0]),  # ranks 6 first
        scored(group([0, 3, 6], texts, key="g1"), [-5.0, -5.0, -9.0]),  # tie of 0 and 3
    ]
    found = evaluate_preferences(items, 2.0, seed=0)
    assert found["selection_score_logp"]["value"] == pytest.approx((6 + 1.5) / 2)
    assert found["selection_score_logp"]["n"] == 2
    rules = {name: entry["value"] for name, entry in found["baselines"]["selection_score"].items()}
    assert {"random": 3.0, "longest": 3.0, "oracle": 6.0}.items() <= rules.items()  # the longest replies have 0 and 6
    assert found["selection_score_logp"]["strongest_baseline"] != "oracle"


def test_selection_score_is_left_out_where_sources_have_their_own_scales():
    groups = group([5, 1], source="mrbench"), group([9, 1], source="local", key="g1")
    items = [scored(each, [-1.0, -2.0]) for each in groups]
    found = evaluate_preferences(items, 2.0, seed=0)
    assert not any(name.startswith("selection") for name in [*found, *found["baselines"]])
    assert found["settings"]["sources"] == ["local", "mrbench"]


def many(right: float, seed: int = 0, groups: int = 120, tokens: int = 10) -> list:
    """Groups of eight random replies; a reply gets its human score from the model with probability `right`."""
    rng, noise = random.Random(seed), random.Random(seed + 1)
    items = []
    for number in range(groups):
        scores = [float(rng.randrange(9)) for _ in range(8)]
        texts = [" ".join(rng.choices("abcdefgh", k=rng.randrange(3, 20))) + f" {index}" for index in range(8)]
        logp = [score if noise.random() < right else noise.random() * 8 for score in scores]
        items.append(scored(group(scores, texts, key=f"g{number}"), [value - 50 for value in logp], [tokens] * 8))
    return items


def test_a_good_model_beats_the_baselines_and_a_random_one_is_said_not_to():
    good, poor = (evaluate_preferences(many(right), 2.0, seed=0, samples=500) for right in (0.9, 0.0))
    assert good["pair_accuracy_logp"]["beats_baseline"]
    assert good["pair_accuracy_logp"]["difference"]["low"] > 0
    assert good["verdicts"] == {}
    sentence, entry = poor["verdicts"]["pair_accuracy_logp"], poor["pair_accuracy_logp"]
    assert "not shown to beat the baseline" in sentence
    assert entry["strongest_baseline"] in sentence
    assert entry["difference"]["low"] < 0.05
    assert not entry["beats_baseline"]


def test_the_change_is_paired_with_the_model_before_training() -> None:
    before, after = many(0.0), many(0.9)
    items = [scored(new.group, new.logp, new.tokens, old.logp) for new, old in zip(after, before, strict=True)]
    found = evaluate_preferences(items, 2.0, seed=0, samples=200)
    alone = evaluate_preferences(before, 2.0, seed=0, samples=200)
    for name in ("pair_accuracy_logp", "pair_accuracy_mean_logp", "selection_score_logp"):
        gap = found[name]["change"]
        assert gap["value"] == pytest.approx(found[name]["value"] - alone[name]["value"])
        assert 0 < gap["low"] < gap["value"] < gap["high"]
    assert "change" not in found["pair_accuracy_implicit"]
    assert "change" not in alone["pair_accuracy_logp"]


def test_clusters_are_split_keys_and_results_are_json():
    items = [scored(group([5, 1], key=key), [-1.0, -2.0]) for key in ("a", "a", "b")]
    found = evaluate_preferences(items, 2.0, seed=0)
    assert (found["pair_accuracy_logp"]["n"], found["pair_accuracy_logp"]["clusters"]) == (3, 2)
    alone = evaluate_preferences(items[:2], 2.0, seed=0)
    assert alone["pair_accuracy_logp"]["low"] is None
    assert "one group" in alone["verdicts"]["pair_accuracy_logp"]
    assert json.loads(json.dumps(alone, allow_nan=False)) == alone


def test_strongest_baseline_is_the_one_of_the_highest_mean():
    given = {"chance": [0.5] * 4, "rule": [1.0, 1.0, 1.0, 0.0], "oracle": [1.0] * 4}
    metrics, rules = measure({"model": [1.0, 1.0, 0.0, 1.0]}, given, list("abcd"), {}, (0.0, 1.0), seed=0)
    assert metrics[0].strongest == "rule"
    assert metrics[0].difference.mean == 0.0
    assert [rule.spread.mean for rule in rules] == [0.5, 0.75, 1.0]


ONE = scored(group([5, 1]), [-1.0, -2.0])
REFERRED, BASED = (scored(group([5, 1]), [-1.0, -2.0], **{name: [-1.0, -1.0]}) for name in ("reference", "base"))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: evaluate_preferences([], 2.0, 0), "no group to evaluate"),
        (lambda: evaluate_preferences([ONE], 9.0, 0), "differ by the margin 9.0"),
        (lambda: evaluate_preferences([ONE], 0, 0), "margin` must be > 0, got 0"),
        (lambda: evaluate_preferences([ONE], 2.0, 0, training_groups=[group([1, 0])]), "tested on, the first is 'g0'"),
        (lambda: evaluate_preferences([REFERRED, ONE], 2.0, 0), "1 of 2 groups have no `reference_logp`"),
        (lambda: evaluate_preferences([ONE, BASED], 2.0, 0), "1 of 2 groups have no `base_logp`"),
        (lambda: scored(group([5, 1]), [-1.0]), "has 2 responses, got 1 of `logp`"),
        (lambda: scored(group([5, 1]), [-1.0, math.nan]), "`logp` must be finite, got nan"),
        (lambda: scored(group([5, 1]), [-1.0, -2.0], [3, 0]), "`tokens` must be at least 1, got 0"),
        (lambda: scored(group([5, 1]), [-1.0, -2.0], base=[-1.0]), "has 2 responses, got 1 of `base_logp`"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(UserError, match=words):
        call()


def test_five_thousand_pairs_take_less_than_two_seconds():
    items = many(0.5, groups=290)
    start = time.process_time()
    found = evaluate_preferences(items, 2.0, seed=0, samples=2000)
    assert time.process_time() - start < 2.0
    assert found["pair_accuracy_logp"]["n"] > 5000
