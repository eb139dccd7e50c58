"""Pairs and their weights, pair accuracy and selection score on hand-made groups, by their definitions."""

from random import Random
from typing import Any

import pytest

from edu_align.data.sources.mrbench import SCORED
from edu_align.evaluation.suite import pair_accuracy as metrics
from edu_align.evaluation.suite.data import Settings, SourceAbsentError
from edu_align.evaluation.suite.registry import METRICS, READS, reads
from edu_align.evaluation.suite.results import Series
from edu_align.records import Message, Response, ResponseGroup
from tests.evaluation.suite.subjects import ReadingSubject, dialogue


def mean(series: Series) -> float:
    return sum(w * x for w, x in zip(series.weights, series.values, strict=True)) / sum(series.weights)


def test_weights_are_those_of_the_definition() -> None:
    """A beats B in three dialogues, B beats A in one, and nobody answers C: 1/3, 1 and 0."""
    won = {"A": ("a", 8.0), "B": ("b", 2.0)}
    groups = [dialogue(f"q{i}", "?", won) for i in range(3)]
    groups.append(dialogue("q3", "?", {"A": ("a", 2.0), "B": ("b", 8.0), "C": ("c", 5.0)}))
    pairs = metrics.pairs_over(groups, 2.0, balanced=True)
    weights = dict(zip(pairs.items, pairs.weights, strict=True))
    assert weights["mrbench:row q0:0>1"] == pytest.approx(1 / 3)
    assert weights["mrbench:row q3:1>0"] == 1.0
    assert weights["mrbench:row q3:1>2"] == weights["mrbench:row q3:2>0"] == 0.0
    assert set(metrics.pairs_over(groups, 2.0).weights) == {1.0}


@pytest.mark.parametrize("seed", range(5))
def test_who_wrote_it_gives_one_half_when_balanced(seed: int) -> None:
    rng = Random(seed)
    quality = {name: rank / 4 for rank, name in enumerate("ABCDE")}
    replies = [{name: (name, rng.randint(0, 8) + 4 * quality[name]) for name in quality} for _ in range(20)]
    groups = [dialogue(f"q{i}", "?", each) for i, each in enumerate(replies)]
    scores = [tuple(quality[response.author] for response in group.responses) for group in groups]
    assert mean(metrics.pairs_over(groups, 2.0, balanced=True).series(scores)) == pytest.approx(0.5)
    assert mean(metrics.pairs_over(groups, 2.0).series(scores)) > 0.6


def test_ties_count_one_half_and_the_effect_is_paired() -> None:
    pairs = metrics.pairs_over([dialogue("q", "?", {"A": ("a", 8.0), "B": ("b", 2.0), "C": ("c", 0.0)})], 2.0)
    assert pairs.series([(0.0, 0.0, 1.0)]).values == (0.5, 0.0, 0.0)
    assert pairs.effect([(3.0, 2.0, 1.0)], [(1.0, 1.0, 2.0)]).values == (0.5, 1.0, 1.0)


def test_pairs_of_the_wrong_order_come_with_the_furthest_apart_first() -> None:
    groups = [dialogue(f"q{i}", f"ask {i}", {"A": (f"good {i}", 1.0), "B": (f"bad {i}", 0.0)}) for i in range(30)]
    scores = {"mean_logp": [(0.0, 1.0)] * 30, "implicit": [(0.0, float(i - 4)) for i in range(30)]}
    rows = metrics.ordered_wrongly("pair_accuracy_local", groups, metrics.pairs_over(groups, 2.0), scores)
    assert [row["apart"] for row in rows] == [float(25 - i) for i in range(metrics.SHOWN)]
    assert rows[0] == {
        "item": "mrbench:row q29:0>1", "number": "pair_accuracy_local/implicit", "apart": 25.0,
        "prompt": [{"role": "user", "content": "ask 29"}], "chosen": "good 29", "rejected": "bad 29",
    }  # fmt: skip
    alone = metrics.ordered_wrongly("x", groups, metrics.pairs_over(groups, 2.0), {"mean_logp": [(1.0, 0.0)] * 30})
    assert alone == []


@pytest.mark.cases("C2")
@pytest.mark.parametrize(("scores", "pairs"), [((1.0, 0.0), 1), ((0.0, 1.0), 1), ((3.0, 2.0), 0), ((2.0, 0.0), 1)])
def test_a_chosen_and_a_rejected_reply_make_a_pair_at_any_margin(scores: tuple[float, float], pairs: int) -> None:
    group = dialogue("q", "?", {"A": ("a", scores[0]), "B": ("b", scores[1])})
    assert len(metrics.pairs_over([group], 2.0).places) == pairs


def test_the_dialogue_goes_and_the_system_turn_stays() -> None:
    system = Message("system", "Be kind.")
    prompt = (system, Message("user", "2 + 3?"), Message("assistant", "Try."), Message("user", "4"))
    assert metrics.without_dialogue(prompt) == (system, Message("user", ""))


def test_both_models_read_no_dialogue() -> None:
    """Without the dialogue the implicit reward is a difference of two scores of the bare reply."""
    groups = [dialogue("q", "long dialogue", {"A": ("aa", 8.0), "B": ("b", 2.0)})]

    def own(prompt: Any, text: str) -> tuple[float, int]:
        return -float(len(prompt[-1].content) + len(text)), len(text)

    def reference(prompt: Any, text: str) -> tuple[float, int]:
        return -2.0 * len(prompt[-1].content), len(text)

    subject = ReadingSubject(own, reference)
    assert metrics.model_scores(subject, groups) == {"mean_logp": [(-7.5, -14.0)], "implicit": [(11.0, 12.0)]}
    bare = metrics.model_scores(subject, groups, dialogue=False)
    assert bare == {"mean_logp": [(-1.0, -1.0)], "implicit": [(-2.0, -1.0)]}
    assert metrics.model_scores(ReadingSubject(own), groups).keys() == {"mean_logp"}
    longer = ReadingSubject(own, reference, lambda prompt, text: (-3.0 * len(prompt[-1].content), len(text)))
    assert metrics.model_scores(longer, groups)["implicit_from_base"] == [(24.0, 25.0)]
    assert metrics.model_scores(longer, groups)["implicit"] == [(11.0, 12.0)]


LABELS = {"Expert": (2.0, 2.0), "GPT4": (2.0, 0.0), "Phi3": (0.0, 0.0)}


def labelled(key: str, source: str = "mrbench") -> ResponseGroup:
    """Expert 8 (long, a question), GPT4 4, Phi3 0; the last two dimensions say what the first two do."""
    texts, replies = (f"Which step of {key} is wrong?", "Check step 2 .", "Fine"), []
    for text, (author, (one, two)) in zip(texts, LABELS.items(), strict=True):
        scores = dict(zip(SCORED, (one, two, one, two), strict=True))
        replies.append(Response(text, sum(scores.values()), scores, author))
    return ResponseGroup((Message("user", f"problem {key}"),), tuple(replies), f"row {key}", source, key)


class Parts:
    """The parts that these metrics read."""

    def __init__(self, held: int) -> None:
        self.mrbench = [labelled(f"q{i}") for i in range(held)]
        self.mrbench_training = [labelled(f"t{i}") for i in range(6)]
        self.bridge = [labelled(f"b{i}", "bridge") for i in range(held)]
        self.bridge_training = [labelled(f"c{i}", "bridge") for i in range(6)]


def longest(prompt: Any, text: str) -> tuple[float, int]:
    """With a dialogue the longer reply is likelier, without one the shorter."""
    return (float(len(text)) if prompt[-1].content else -float(len(text))), 1


@pytest.fixture
def data() -> Any:
    return Parts(3)


def test_raw_hard_and_every_dimension(data: Any) -> None:
    found = metrics.pair_accuracy(ReadingSubject(longest), data, Settings())
    sizes = {name.removesuffix("/mean_logp"): len(series.items) for name, series in found.measured.items()}
    assert sizes["pair_accuracy"] == 9
    assert sizes["pair_accuracy_hard"] == 3  # Expert over GPT4 alone
    assert sizes["pair_accuracy_mistake_identification"] == 6  # both others over Phi3
    assert sizes["pair_accuracy_mistake_location"] == 6  # Expert over both others
    assert all(mean(series) == 1.0 for series in found.measured.values())
    rules, simple = found.baselines["pair_accuracy/mean_logp"], {"chance", "longer", "question_mark", "overlap"}
    assert set(rules) == simple | {"tutor_prior", "surface_logistic", "bag_of_words"}
    assert mean(rules["tutor_prior"]) == mean(rules["longer"]) == 1.0
    assert mean(rules["question_mark"]) == pytest.approx(5 / 6)  # GPT4 and Phi3 tie


def test_the_fall_without_the_dialogue_is_a_number(data: Any) -> None:
    turned = data.mrbench[0]
    swapped = [*turned.responses[:2], Response(turned.responses[2].text, 12.0, turned.responses[2].scores, "Phi3")]
    data.mrbench.append(ResponseGroup(turned.prompt, tuple(swapped), "row x", "mrbench", "x"))
    found = metrics.pair_accuracy_balanced(ReadingSubject(longest, lambda prompt, text: (0.0, 1)), data, Settings())
    for scorer in ("mean_logp", "implicit"):
        withit = found.measured[f"pair_accuracy_balanced/{scorer}"]
        without = found.measured[f"pair_accuracy_balanced_no_dialogue/{scorer}"]
        effect = found.measured[f"dialogue_effect/{scorer}"]
        assert mean(withit) == pytest.approx(0.5)  # a rank by author alone, which is what balancing takes away
        assert effect.values == tuple(a - b for a, b in zip(withit.values, without.values, strict=True))
        assert set(effect.values) == {-1.0, 1.0}
        assert effect.weights == withit.weights
    assert "dialogue_effect/mean_logp" not in found.baselines


def test_selection(data: Any) -> None:
    found = metrics.selection_score(ReadingSubject(longest), data, Settings())
    assert mean(found.measured["selection_score/mean_logp"]) == 8.0
    assert mean(found.measured["selection_score_no_dialogue/mean_logp"]) == 0.0
    rules = {name: mean(series) for name, series in found.baselines["selection_score/mean_logp"].items()}
    assert rules["random"] == 4.0
    assert rules["expert"] == rules["oracle"] == rules["longest"] == 8.0


def test_bridge_has_no_tutor_prior(data: Any) -> None:
    found = metrics.pair_accuracy_bridge(ReadingSubject(longest), data, Settings())
    assert "tutor_prior" not in found.baselines["pair_accuracy_bridge/mean_logp"]
    assert {"pair_accuracy_bridge_dialogue_effect/mean_logp"} < set(found.measured)


def test_no_pair_is_said(data: Any) -> None:
    with pytest.raises(SourceAbsentError, match="differ by the margin"):
        metrics.pair_accuracy_balanced(ReadingSubject(longest), data, Settings(margin=9.0))


def test_every_metric_says_what_it_is_and_what_it_reads() -> None:
    from edu_align.evaluation.suite.data import PARTS, SuiteData

    assert all(len(metric.__doc__ or "") > 100 for metric in METRICS.values())
    assert READS.keys() <= METRICS.keys()
    assert all(part in PARTS and hasattr(SuiteData, part) for name in METRICS for part in reads(name))
    assert reads("one that says nothing") == PARTS
