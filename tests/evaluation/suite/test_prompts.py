"""Replies are generated once, in fixed batches of like length."""

from collections.abc import Callable
from typing import Any

import pytest

from edu_align.evaluation.suite.prompts import Prompt, chosen, digest, generate
from edu_align.records import Message
from tests.evaluation.suite.subjects import ModelSubject, ReadingSubject


def asked(count: int) -> list[Prompt]:
    return [Prompt(f"i{n}", f"g{n}", "mrbench", (Message("user", "long " * (n % 5) + f"{n}?"),)) for n in range(count)]


@pytest.fixture
def model(random_model: Callable[..., Any], bytes_tokenizer: Any) -> ModelSubject:
    """Its weights are scaled up: as drawn, the model repeats the template's last line break for ever."""
    import torch

    loaded = random_model()
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter.mul_(6)
    return ModelSubject(model=loaded, tokenizer=bytes_tokenizer)


def test_batched_replies_are_those_given_alone(model: ModelSubject) -> None:
    batched = generate(model, asked(7), 6, batch_size=7).replies
    assert batched == generate(model, asked(7), 6, batch_size=1).replies
    assert len(set(batched.values())) > 3


def test_equal_dialogues_are_answered_once_and_like_lengths_together() -> None:
    subject = ReadingSubject(reply=lambda prompt: prompt[-1].content.upper())
    twice = [*asked(5), Prompt("again", "g", "bridge", asked(5)[3].turns)]
    found = generate(subject, twice, 6, batch_size=2)
    assert subject.batches == [2, 2, 1]
    assert found.replies["again"] == found.replies["i3"] == "LONG LONG LONG 3?"
    assert found.row(twice[0]) == {"item": "i0", "prompt": [{"role": "user", "content": "0?"}], "reply": "0?"}


def test_a_sample_is_chosen_by_content_alone() -> None:
    few = chosen(asked(50), 10)
    assert few == chosen(reversed(asked(50)), 10) == chosen(asked(50), 20)[:10]
    assert digest(few[0].turns) <= digest(few[1].turns)
    assert {one.item for one in few} != {f"i{n}" for n in range(10)}


def test_the_head_never_reads_a_slice(model: ModelSubject) -> None:
    """torch copies the head's weights once a row for an input that is not contiguous."""
    seen: list[bool] = []
    head = model.model.get_output_embeddings()
    hook = head.register_forward_hook(lambda module, given, out: seen.append(given[0].is_contiguous()))
    generate(model, asked(3), 4, batch_size=3)
    hook.remove()
    assert seen
    assert all(seen)
    assert not head._forward_pre_hooks, "nothing stays behind"
