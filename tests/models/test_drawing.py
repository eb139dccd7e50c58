"""Replies drawn by seeds of their own: the same alone and beside others, by the engine and by transformers."""

from functools import partial
from typing import Any

import pytest
import torch

from edu_align.config.schema import GenerationConfig
from edu_align.models.answers import answer
from edu_align.models.drawing import drawn, generator, warped
from edu_align.models.engine import writes_exactly
from tests.networks import network

PROMPTS = [[7, 8, 9], [7, 8, 9], [7, 8, 9, 10, 11], [20, 21]]
SEEDS = [1, 2, 3, 4]


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("settings", [{}, {"top_k": 20, "top_p": 0.9, "repetition_penalty": 1.2}])
def test_a_reply_depends_on_its_own_seed_alone(
    exact: bool, settings: dict[str, Any], bytes_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network("llama")
    asked = GenerationConfig(max_new_tokens=10, temperature=1.0, **settings)
    if not exact:
        monkeypatch.setattr("edu_align.models.answers.writes_exactly", lambda model: False)
    assert writes_exactly(model)
    write = partial(answer, model, bytes_tokenizer, [], settings=asked)
    together = write(PROMPTS, seeds=SEEDS).replies
    assert together[0] != together[1]
    state = torch.get_rng_state()
    alone = [write([ids], seeds=[seed]).replies[0] for ids, seed in zip(PROMPTS, SEEDS, strict=True)]
    assert alone == together
    assert torch.equal(torch.get_rng_state(), state) or not exact


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    """Of 4,000 draws each share lies within four standard errors, and what top_k leaves out never comes."""
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0, 1.5]])
    kept = warped(logits, GenerationConfig(temperature=0.7, top_k=3))
    source, many = generator(5), 4000
    found = torch.tensor([drawn(kept, [source]).item() for _ in range(many)])
    shares = torch.bincount(found, minlength=5) / many
    wanted = torch.softmax(kept, dim=-1)[0]
    assert ((shares - wanted).abs() <= 4 * (wanted * (1 - wanted) / many).sqrt()).all()
    assert shares[2] == shares[3] == 0
