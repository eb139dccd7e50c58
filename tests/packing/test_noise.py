"""Noise on the embeddings: each row's own length scales it, alone, padded or packed."""

from typing import Any

import pytest
import torch

from edu_align.packing.decoder import causal_model, share_prefixes
from edu_align.packing.noise import noise_on_embeddings

LENGTHS = (64, 16, 4)
ALPHA = 5.0


def noises(model: Any) -> list[torch.Tensor]:
    """The noise that each row of one batch gains, padding left out."""
    torch.manual_seed(0)
    ids = torch.arange(3, 3 + max(LENGTHS)).repeat(len(LENGTHS), 1)  # all rows begin alike
    mask = (torch.arange(max(LENGTHS))[None] < torch.tensor(LENGTHS)[:, None]).long()
    backbone = causal_model(model).base_model
    embeddings, seen = backbone.get_input_embeddings(), []
    model.train()
    with noise_on_embeddings(model, ALPHA):
        hook = embeddings.register_forward_hook(
            lambda module, args, output: seen.append(output - module.weight[args[0]])
        )
        backbone(input_ids=ids, attention_mask=mask, use_cache=False)
        hook.remove()
    (noise,) = seen
    if noise.shape[:2] == ids.shape:
        return [row[:length] for row, length in zip(noise, LENGTHS, strict=True)]
    flat = noise.reshape(-1, noise.size(-1))
    assert len(flat) == sum(LENGTHS)  # nothing is shared
    return list(flat.split(sorted(LENGTHS, reverse=True)))


@pytest.mark.cases("D3")
@pytest.mark.parametrize("packed", [True, False])
def test_a_rows_noise_is_that_of_its_own_length(random_model: Any, packed: bool) -> None:
    model = random_model()
    if packed:
        share_prefixes(model, "blocks")
    for noise, length in zip(noises(model), LENGTHS, strict=True):
        most = ALPHA / (length * noise.size(-1)) ** 0.5
        assert noise.abs().max() <= most * (1 + 1e-4)
        assert noise.detach().std() == pytest.approx(most / 3**0.5, rel=0.1)


def test_no_noise_when_nothing_is_trained_or_behind_the_block(random_model: Any) -> None:
    model = random_model().eval()
    share_prefixes(model)
    ids = torch.tensor([[5, 6, 7], [5, 6, 8]])

    def hidden() -> Any:
        return model.base_model(input_ids=ids, use_cache=False).last_hidden_state

    plain = hidden()
    with noise_on_embeddings(model, ALPHA):
        assert torch.equal(hidden(), plain)
        model.train()
        assert not torch.equal(hidden(), plain)
    assert torch.equal(hidden(), plain)


@pytest.mark.cases("D13")
def test_the_whole_packed_model_runs_without_a_cache(random_model: Any) -> None:
    model = random_model().eval()
    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 7, 9]])
    plain = model(input_ids=ids, use_cache=False).logits
    share_prefixes(model)
    assert torch.allclose(model(input_ids=ids, use_cache=False).logits, plain, atol=1e-5)
