"""A greedy reply that goes round in circles is cut off in chat, and only there."""

from dataclasses import replace
from io import StringIO
from threading import Lock
from typing import Any

import pytest

from edu_align.chatting.model import ChatModel, stream
from edu_align.chatting.terminal import Dialogue, converse
from edu_align.chatting.text import LEAST, LONGEST, loops
from edu_align.config.schema import GenerationConfig
from edu_align.records import Message


@pytest.mark.parametrize("size", [1, 2, 7, 30, LONGEST])
def test_what_is_repeated_is_noticed(size: int) -> None:
    piece = list(range(size))
    assert loops([99, *piece * (LEAST // size + 3)])
    assert loops([99, *piece * (LEAST // size + 3), *piece[: size // 2]])  # also in the middle of it
    assert not loops([*piece * (LEAST // size + 3), 99])
    assert not loops(piece * 2)
    assert not loops([1] * (LEAST - 1))


def test_a_table_or_a_list_is_no_loop() -> None:
    assert not loops([token for row in range(30) for token in (5, row, 7, 8, 9, 10)])


@pytest.fixture
def babbler(random_model: Any, bytes_tokenizer: Any) -> ChatModel:
    """A model whose likeliest next token is always the same."""
    import torch

    model = random_model()

    def says(head: Any, given: Any, logits: Any) -> Any:
        logits = torch.zeros_like(logits)
        logits[..., 70] = 9.0
        return logits

    model.get_output_embeddings().register_forward_hook(says)
    settings = GenerationConfig(max_new_tokens=400)
    return ChatModel("babbler", "base", model, bytes_tokenizer, None, settings, None, 2048, 1, None, Lock())


@pytest.mark.cases("B8")
def test_a_loop_is_cut_and_said(babbler: ChatModel, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    dialogue = Dialogue(babbler)
    written = "".join(dialogue.reply(dialogue.ask("Hi")))
    assert LEAST <= len(written) < LEAST + 4
    assert "generation.repetition_penalty" in dialogue.notes[0]
    monkeypatch.setattr("sys.stdin", StringIO("Hi\n"))
    converse([babbler])
    out, err = capsys.readouterr()
    assert "(babbler began to repeat itself and was cut off; generation.repetition_penalty=1.1" in err
    assert "repetition_penalty" not in out


def test_a_sampled_reply_is_left_alone(babbler: ChatModel) -> None:
    sampled = replace(babbler, settings=replace(babbler.settings, temperature=0.1, max_new_tokens=90))
    assert len("".join(stream(sampled, (Message("user", "Hi"),)))) == 90
