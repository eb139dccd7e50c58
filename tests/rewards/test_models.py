"""Rewards that a model gives: a reward model's are those that the suite reads of it, a judge's hold in both orders."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edu_align.evaluation.suite.reward import find_scorer
from edu_align.records import Message
from edu_align.rewards.asked import Asked, Sources
from edu_align.rewards.registry import identities, scoring
from edu_align.utils.errors import UserError
from edu_align.utils.jsonl import read_rows
from tests.conftest import REPLIES

TURNS = (Message("user", "Is 3 + 4 = 8?"), Message("assistant", "Show me.", True), Message("user", "I counted."))
ASKED = Asked("one", TURNS, "Count once more.", {"gold_answer": "7"})
TEXTS = ["Why?", "It is 7.", "", "Why? Look at both numbers, one after the other."]


@pytest.fixture
def sources(runs: Callable[[str], Any], typed: Callable[..., Any], outputs: Path) -> Sources:
    runs("reward")
    return Sources(typed("trainer=grpo", "trainer.batch_size=8", f"outputs_root={outputs}"), "reward")


def test_a_reward_model_scores_as_it_does_under_measurement(sources: Sources, outputs: Path) -> None:
    found = scoring("reward_model", sources)(TEXTS, [ASKED] * len(TEXTS))
    prompt = tuple(replace(turn, train=False) for turn in TURNS)
    (expected,) = find_scorer("reward", {}, outputs)[1].rewards([(prompt, TEXTS)])
    assert found == pytest.approx(expected, abs=1e-5)
    assert len(set(found)) > 1
    assert all(map(math.isfinite, found))


def test_a_run_that_writes_is_no_reward_model(sources: Sources, runs: Callable[[str], Any]) -> None:
    runs("sft")
    with pytest.raises(UserError, match="is no reward model: that run was trained with trainer=sft"):
        scoring("reward_model", replace(sources, reward_run="sft"))


def test_a_training_on_a_reward_model_has_it_in_its_id(train: Callable[..., Any], runs: Callable[[str], Any]) -> None:
    """And logs its rewards beside the rules'."""
    runs("sft"), runs("reward"), runs("reward_on_sft")
    words = [
        "trainer=grpo", "init_from=sft", *(word for word in REPLIES if "rewards" not in word), "trainer.max_steps=2",
        "trainer.rewards={reward_model: 1, asks_question: 1}",
    ]  # fmt: skip
    one, other = (
        train(*words, f"trainer.reward_run={name}", f"run_name=by_{name}") for name in ("reward", "reward_on_sft")
    )
    assert one.record["id"] != other.record["id"]
    assert one.record["text"]["reward reward_model"] != other.record["text"]["reward reward_model"]
    logged = [row for row in read_rows(one.path / "metrics.jsonl") if "rewards/reward_model/mean" in row]
    assert len(logged) >= 2


@pytest.fixture
def judged(typed: Callable[..., Any], tmp_path: Path) -> Iterator[Callable[[Any], tuple[Sources, Any]]]:
    """`judged(behave)`: the sources of the reward `judge` at an endpoint that behaves so, and the endpoint."""
    pytest.importorskip("openai", reason="the extra `judge` (package openai) is not installed")
    from tests.evaluation.judge.server import Judge

    servers: list[Judge] = []

    def start(behave: Any) -> tuple[Sources, Judge]:
        servers.append(Judge(behave))
        words = [f"evaluation.judge={servers[-1].url}", "evaluation.judge_model=m", f"outputs_root={tmp_path}"]
        return Sources(typed("trainer=grpo", "trainer.batch_size=8", *words)), servers[-1]

    yield start
    for server in servers:
        server.close()


def test_a_judge_prefers_a_reply_to_the_persons(judged: Any) -> None:
    from tests.evaluation.judge.server import prefers_first, prefers_questions

    texts = ["Why?", "Add them.", ASKED.person]
    sources, server = judged(prefers_questions)
    score = scoring("judge", sources)
    assert score(texts, [ASKED] * 3) == [1.0, 0.5, 0.5]
    asks = replace(ASKED, person="What is 3 + 4?")
    assert score(["It is 7."], [asks]) == [0.0]
    many = len(server.bodies)
    assert score(texts, [ASKED] * 3) == [1.0, 0.5, 0.5]
    assert len(server.bodies) == many  # answers are kept
    assert identities(["judge", "asks_question"], sources)["reward judge"][1] == "m"
    sources, _ = judged(prefers_first)
    assert scoring("judge", sources)(["Why?"], [ASKED]) == [0.5]  # it contradicts itself
