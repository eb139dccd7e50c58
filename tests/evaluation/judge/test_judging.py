"""Both orders, agreement with people, and the comparison of two models."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edu_align.evaluation.judge.agreement import agreement, sample
from edu_align.evaluation.judge.judging import judge
from edu_align.evaluation.judge.settings import JudgeSettings
from edu_align.evaluation.suite.prompts import Prompt
from edu_align.evaluation.suite.results import MetricResult, Series
from edu_align.records import Message, ResponseGroup
from edu_align.utils.errors import UserError
from tests.evaluation.judge.conftest import Serve
from tests.evaluation.judge.server import Reply, opinion, prefers_first, prefers_questions, shown

Settings = Callable[..., JudgeSettings]
Groups = list[ResponseGroup]


def prompts(count: int) -> list[Prompt]:
    return [Prompt(f"i{n}", f"g{n // 2}", "mrbench", (Message("user", f"{n} + 1 = {n}"),), "9") for n in range(count)]


def mean(series: Series) -> float:
    return sum(series.values) / len(series.values)


def by_item(series: Series) -> dict[str, float]:
    return dict(zip(series.items, series.values, strict=True))


def test_both_orders_are_asked_and_the_better_reply_wins(serve: Serve, settings: Settings) -> None:
    server = serve(prefers_questions)
    six = prompts(6)
    tuned = [f"why {i}?" if i < 4 else "so it is." for i in range(6)]
    result = judge(tuned, {"base": [f"it is {i}." if i < 5 else "so?" for i in range(6)]}, six, settings(server))
    pairs = [shown(body) for body in server.bodies]
    assert len(pairs) == 12
    assert {(b, a) for a, b in pairs} == set(pairs)
    won, rules = result.measured["preferred/base"], result.baselines["preferred/base"]
    assert by_item(won) == {"i0": 1.0, "i1": 1.0, "i2": 1.0, "i3": 1.0, "i4": 0.5, "i5": 0.0}
    assert mean(rules["question_mark"]) == mean(won)
    assert rules["chance"].values == (0.5,) * 6
    assert mean(result.measured["actionability/base"]) == pytest.approx(2 * 4 / 6)
    assert mean(result.baselines["actionability/base"]["base"]) == pytest.approx(2 * 1 / 6)
    assert set(result.measured["revealing_answer/base"].values) == {0.0}
    assert result.better["revealing_answer/base"] == "lower"
    assert MetricResult.of(json.loads(json.dumps(result.as_json()))) == result
    assert any("contradicted itself" in note and "0 of 6 pairs (0.00)" in note for note in result.notes)


@pytest.mark.parametrize(
    ("behave", "said"),
    [
        (prefers_first, "(1.00), which count as ties. Of its decisions, 1.00 of 8 went to the reply shown"),
        (lambda body, _: Reply(opinion(body, "A" if "?" in shown(body)[0] else "tie")), ""),
    ],
)
def test_two_verdicts_that_differ_are_a_tie(serve: Serve, settings: Settings, behave: Any, said: str) -> None:
    result = judge(["a?"] * 4, {"base": ["b."] * 4}, prompts(4), settings(serve(behave)))
    assert result.measured["preferred/base"].values == (0.5,) * 4
    (note,) = [note for note in result.notes if "contradicted itself" in note]
    assert f"in 4 of 4 pairs {said}" in note


def test_equal_replies_cost_nothing_and_malformed_ones_are_left_out(serve: Serve, settings: Settings) -> None:
    server = serve(lambda body, n: Reply("?!") if "0?" in shown(body)[0] else prefers_questions(body))
    tuned = ["why 0?", "same", "why 2?"]
    result = judge(tuned, {"base": ["no.", "same", "no."]}, prompts(3), settings(server))
    assert by_item(result.measured["preferred/base"]) == {"i1": 0.5, "i2": 1.0}
    assert result.measured["actionability/base"].items == ("i2",)
    assert len(server.bodies) == 5  # two a pair and one reminder
    for words in ("1 of 3 pairs of replies are equal", "1 stayed malformed"):
        assert any(words in note for note in result.notes)


def test_only_some_pairs_are_judged_and_several_models(serve: Serve, settings: Settings) -> None:
    server = serve(prefers_questions)
    others = {"base": ["no."] * 9, "SFT": ["why not?"] * 9}
    result = judge(["why?"] * 9, others, prompts(9), settings(server, pairs=3))
    assert len(server.bodies) == 12
    assert result.measured["preferred/base"].items == result.measured["preferred/SFT"].items
    assert result.measured["preferred/base"].values == (1.0,) * 3
    assert result.measured["preferred/SFT"].values == (0.5,) * 3
    with pytest.raises(UserError, match="one reply of SFT a prompt, got 8 for 9"):
        judge(["why?"] * 9, {**others, "SFT": ["a"] * 8}, prompts(9), settings(server))


def test_agreement_with_people(serve: Serve, settings: Settings, groups: list[ResponseGroup]) -> None:
    """People put the question first, then the statement: the judge that likes questions gets 2 of 3 pairs right."""
    result = agreement(settings(serve(prefers_questions)), groups, 2.0, groups)
    pairs = result.measured["agreement/pairs"]
    assert len(pairs.items) == 24
    assert mean(pairs) == pytest.approx((1 + 1 + 0.5) / 3)
    rules = {name: mean(series) for name, series in result.baselines["agreement/pairs"].items()}
    assert 0 <= rules.pop("overlap") <= 1
    assert rules == pytest.approx({"chance": 0.5, "longer": 0.5, "question_mark": 2.5 / 3, "tutor_prior": 1.0})
    # The judge labels Yes, No, No where people say Yes, To some extent, No; each reply stands in two pairs of three.
    assert mean(result.measured["agreement/actionability"]) == pytest.approx(2 / 3)
    assert mean(result.baselines["agreement/actionability"]["majority_label"]) == pytest.approx(1 / 3)
    # People marked Phi3's reply as revealing; the judge never does.
    assert mean(result.measured["agreement/revealing_answer"]) == pytest.approx(2 / 3)
    for words in (
        "agreement/pairs: 0.833 [", "on 24 items of 8 groups",
        "m is NOT shown to agree with people better than the rule `tutor_prior` does (difference -0.167 [",
    ):  # fmt: skip
        assert words in "\n".join(result.notes)
    # Kappa by its definition: 2 of 3 decided rightly, the third a tie, people left 11 and right 13 times.
    placed = [(side, pair.chosen) for pair, side in sample(groups, 2.0, 100).values()]
    sides = [side for side, _ in placed]
    said = [side if chosen == 0 else "tie" for side, chosen in placed]
    observed = sum(a == b for a, b in zip(sides, said, strict=True)) / len(sides)
    expected = sum(sides.count(word) * said.count(word) for word in ("left", "right")) / len(sides) ** 2
    assert f"Cohen's kappa {(observed - expected) / (1 - expected):.3f} (the judge's ties" in result.notes[0]


def test_a_judge_better_than_the_rules_is_not_doubted(serve: Serve, settings: Settings, groups: Groups) -> None:
    rank = {"where": 2, "look": 1, "great": 0}

    def like_people(body: dict, _number: int) -> Reply:
        first, second = (rank[text.replace(",", "").split()[0]] for text in shown(body))
        return Reply(opinion(body, "A" if first > second else "B"))

    plain = [replace(group, responses=tuple(replace(r, text=r.text.replace("?", "!")) for r in group.responses))
             for group in groups]  # fmt: skip
    result = agreement(settings(serve(like_people)), plain, 2.0)
    assert mean(result.measured["agreement/pairs"]) == 1.0
    assert "Cohen's kappa 1.000" in result.notes[0]
    assert not any("NOT shown" in note for note in result.notes)


def test_a_judge_that_likes_the_first_place_agrees_by_chance(serve: Serve, settings: Settings, groups: Groups) -> None:
    result = agreement(settings(serve(prefers_first)), groups, 2.0)
    assert mean(result.measured["agreement/pairs"]) == 0.5
    assert any("NOT shown to agree" in note for note in result.notes)


def test_the_sample_spreads_over_groups_and_sides(groups: list[ResponseGroup]) -> None:
    many = sample(groups, 2.0, 8)
    assert len({pair.group.id for pair, _ in many.values()}) == 8
    assert many == dict(list(sample(list(reversed(groups)), 2.0, 100).items())[:8])
    assert {side for _, side in sample(groups, 2.0, 100).values()} == {"left", "right"}
    with pytest.raises(UserError, match=r"no two replies of the 8 groups differ by dataset\.margin=9"):
        sample(groups, 9.0, 8)


def test_nothing_well_formed_is_an_error(serve: Serve, settings: Settings, groups: list[ResponseGroup]) -> None:
    with pytest.raises(UserError, match="gave no well-formed answer to 24 pairs"):
        agreement(settings(serve(lambda *_: Reply("A"))), groups, 2.0)
