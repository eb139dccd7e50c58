"""Metric 6: nats of human turns, against the model's own cross-entropy and a unigram model worked out by hand."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from edu_align.evaluation.suite.human_nll import byte_unigram, token_unigram, turns_nll
from edu_align.evaluation.suite.prompts import Prompt, of_dialogues
from edu_align.models.scoring import conversation_rows, score
from edu_align.records import Conversation, Message
from tests.evaluation.suite.subjects import ModelSubject, ReadingSubject

TALK = Conversation(
    (Message("user", "2 + 2 = 5"), Message("assistant", "Count with your fingers.", train=True),
     Message("user", "4"), Message("assistant", "Très bien!", train=True)),
    "mathdial:test:1", "mathdial", "problem:1", {"problem": "2 + 2", "gold_answer": "4"},
)  # fmt: skip


def test_turns_add_up_to_the_conversation(random_model: Callable[..., Any], bytes_tokenizer: Any) -> None:
    model = random_model()
    result = turns_nll(ModelSubject(model=model, tokenizer=bytes_tokenizer), of_dialogues([TALK]), ["Count again."])
    ((_, rows),) = conversation_rows(bytes_tokenizer, [TALK], 2048)
    (((logp, count),),) = score(model, bytes_tokenizer, [rows])
    tokens, size = result.measured["nats_per_token/mathdial"], result.measured["nats_per_byte/mathdial"]
    assert tokens.items == ("mathdial:test:1#1", "mathdial:test:1#3")
    assert sum(tokens.weights) == count
    assert sum(v * w for v, w in zip(tokens.values, tokens.weights, strict=True)) == pytest.approx(-logp, rel=1e-5)
    assert size.weights == (24.0, 11.0), "UTF-8 bytes: an e with an accent is two"
    assert sum(v * w for v, w in zip(size.values, size.weights, strict=True)) == pytest.approx(-logp, rel=1e-5)


def test_unigrams_by_hand(bytes_tokenizer: Any) -> None:
    """Training "aab": a 2, b 1, end 1 of 4 symbols, and one more for each of the alphabet."""
    expected = math.log(261 / 3) + math.log(261 / 1) + math.log(261 / 2)
    assert byte_unigram(["aab"]).nats("ac") == pytest.approx(expected)
    model = token_unigram(["aab"], bytes_tokenizer)
    total = 4 + len(bytes_tokenizer)
    assert model.nats("ac") == pytest.approx(math.log(total / 3) + math.log(total) + math.log(total / 2))
    assert sum(math.exp(-math.log(261 / (n + 1))) for n in [2, 1, 1, *[0] * 254]) == pytest.approx(1)


def test_sources_stay_apart_and_prompts_without_a_human_are_left_out() -> None:
    turns = (Message("user", "5"),)
    prompts = [
        Prompt("a", "g1", "mrbench", turns, human="No!"),
        Prompt("b", "g2", "bridge", turns, human="Why?"),
        Prompt("c", "g3", "bridge", turns),
    ]
    result = turns_nll(ReadingSubject(logp=lambda prompt, text: (-12.0, 4)), prompts, [])
    assert result.measured["nats_per_token/bridge"].values == (3.0,)
    assert result.measured["nats_per_byte/mrbench"].values == (4.0,)
    assert result.baselines["nats_per_byte/mrbench"] == {}
    assert result.measured["nats_per_byte/bridge"].items == ("b",)
