"""What the engine computes with packed weights is what transformers computes, within bfloat16's rounding."""

from typing import Any

import numpy as np
import pytest
import torch

from edu_align.fused.inference import Inference, can_infer
from edu_align.models.engine import Memory
from edu_align.packing.backends import attend_to_ancestors, enable_forest_attention
from edu_align.packing.families import layer_windows
from edu_align.packing.forest import build_forest
from tests.fused.test_fused import with_lora
from tests.networks import network

ROOM = 2**30
PLAIN = ["llama", "llama with biases", "llama yarn", "mistral", "qwen2", "qwen2 with sliding layers"]
OTHERS = ["qwen3", "gemma", "gemma3_text", "granite", "olmo2", "phi3", "smollm3"]
IDS = np.array([[*range(5, 30), 7, 9, 11], [*range(5, 30), 40, 41, 42]])  # two rows that begin alike


def in_bfloat16(model: Any) -> Any:
    """The model with weights that bfloat16 holds, still in float32."""
    for weight in model.parameters():
        weight.data = weight.data.bfloat16().float()
    return model


def expected(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states of all rows and the logits after each, by transformers in float32."""
    with torch.no_grad():
        hidden = model.get_decoder()(torch.from_numpy(IDS)).last_hidden_state
        return hidden, model.get_output_embeddings()(hidden[:, -1])


def inferred(network: Any, room: int = ROOM) -> tuple[torch.Tensor, torch.Tensor, Inference]:
    """The same by `Inference`, on the rows as one tree."""
    enable_forest_attention(network)
    forest = build_forest(IDS, np.ones_like(IDS), one_row=True)
    made = Inference(network, room)
    with torch.no_grad():
        memory = Memory(set(layer_windows(network.config).values()))
        given = attend_to_ancestors(forest, "blocks", network.config, "cpu")
        ids, positions = torch.from_numpy(forest.tokens), torch.from_numpy(forest.positions)
        hidden = made(input_ids=ids, position_ids=positions, memory=memory, **given).last_hidden_state[0]
        rows = hidden[torch.from_numpy(forest.place)]
        return rows.float(), made.head(rows[:, -1]).float(), made


def error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def is_packed(made: Inference) -> bool:
    products = [made.head, *(product for layer in made.layers for product in (layer.read, layer.down))]
    packed = {product.weight is not None for product in products}
    assert len(packed) == 1
    return packed.pop()


@pytest.mark.parametrize("name", PLAIN)
def test_a_pass_is_that_of_transformers(name: str) -> None:
    model = in_bfloat16(network(name))
    assert can_infer(model)
    hidden, logits = expected(model)
    found, head, made = inferred(model)
    assert not is_packed(made)  # float32
    assert error(found, hidden) < 1e-5 > error(head, logits)
    half = model.bfloat16()
    found, head, made = inferred(half)
    assert is_packed(made) == torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert error(found, hidden) < 0.02 > error(head, logits)
    *_, made = inferred(half, room=1000)
    assert not is_packed(made)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_more_than_plain_is_left_to_transformers(name: str) -> None:
    assert not can_infer(network(name))


def test_an_adapter_is_part_of_the_product_where_it_is_on() -> None:
    model = with_lora(in_bfloat16(network("llama with biases"))).eval()
    inner = model.get_base_model()
    with model.disable_adapter():
        without, _ = expected(inner)
    hidden, logits = expected(inner)
    assert error(without, hidden) > 0.2
    for parameter in inner.parameters():  # adapters stay in float32, as they are trained
        if not parameter.requires_grad:
            parameter.data = parameter.data.bfloat16()
    found, head, made = inferred(inner)
    assert is_packed(made) == torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert error(found, hidden) < 0.02 > error(head, logits)
    with model.disable_adapter():
        found, *_ = inferred(inner)
        assert error(found, without) < 0.02
    model.merge_adapter()
    with model.disable_adapter():  # whose layers take it out of their weights
        found, _, made = inferred(inner)
        assert made.layers[0].read.weight is None
        assert error(found, without) < 0.02


def test_an_adapter_that_is_more_is_computed_by_its_own_layers() -> None:
    model = with_lora(in_bfloat16(network("llama")), use_dora=True).eval()
    inner = model.get_base_model()
    hidden, _ = expected(inner)
    model.bfloat16()
    found, _, made = inferred(inner)
    assert made.layers[0].read.weight is None
    assert error(found, hidden) < 0.03
