"""Block attention and FlexAttention against SDPA with the forest's dense mask: values and gradients."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edu_align.packing import attention
from edu_align.packing.attention import block_attention, block_inference, blocks_of
from edu_align.packing.backends import _flex_attention, _flex_mask, choose_backend
from edu_align.packing.decoder import install_packing, share_prefixes
from edu_align.packing.forest import build_forest
from tests.packing.test_forest import batch

HEADS, SHARED, DEPTH = 4, 2, 8
rows_of_tokens = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=12), min_size=1, max_size=8)


def forest_of(rows: list[list[int]], window: int | None = None) -> Any:
    return build_forest(*batch(rows)).within(window)


def real(forest: Any) -> torch.Tensor:
    """bool (R, W): nodes that are no padding."""
    nodes = torch.zeros(forest.tokens.shape, dtype=torch.bool)
    for tree in forest.trees:
        nodes[tree.row, tree.start : tree.start + len(tree.seen)] = True
    return nodes


def inputs(forest: Any, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    """Query, key, value and the gradient of the output, drawn alike for the same forest."""
    rows, width = forest.tokens.shape
    draw = torch.Generator().manual_seed(5)
    shapes = [(rows, HEADS, width, DEPTH), *[(rows, SHARED, width, DEPTH)] * 2, (rows, width, HEADS, DEPTH)]
    drawn = [torch.randn(shape, generator=draw).to(dtype) for shape in shapes]
    drawn[3] = drawn[3] * real(forest)[..., None, None]  # nobody reads the padding
    return [tensor.requires_grad_(number < 3) for number, tensor in enumerate(drawn)]


def outcome(attend: Any, tensors: list[torch.Tensor], forest: Any) -> list[torch.Tensor]:
    query, key, value, gradient = tensors
    out = attend(query, key, value)
    grads = torch.autograd.grad(out, [query, key, value], gradient)
    return [out.detach() * real(forest)[..., None, None], *grads]


def by_blocks(blocks: Any) -> Any:
    return lambda query, key, value: block_attention(query, key, value, DEPTH**-0.5, blocks)


def dense(forest: Any) -> Any:
    mask = torch.from_numpy(forest.mask())[:, None]

    def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        repeated = [tensor.repeat_interleave(HEADS // SHARED, dim=1) for tensor in (key, value)]
        out = torch.nn.functional.scaled_dot_product_attention(query, *repeated, attn_mask=mask, scale=DEPTH**-0.5)
        return out.transpose(1, 2)

    return attend


def largest_error(found: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    pairs = zip(found, expected, strict=True)
    return max((a.float() - b.float()).abs().max().item() / max(b.float().abs().max().item(), 1.0) for a, b in pairs)


@settings(max_examples=100, deadline=None)
@given(rows_of_tokens, st.integers(1, 9), st.none() | st.integers(1, 6))
def test_inference_by_blocks_equals_sdpa_on_any_forest(rows: Any, size: int, window: int | None) -> None:
    forest = forest_of(rows, window)
    query, key, value, _ = (tensor.detach() for tensor in inputs(forest))
    found = block_inference(query, key, value, DEPTH**-0.5, blocks_of(forest.trees, size))
    expected = dense(forest)(query, key, value)
    assert largest_error([found[real(forest)]], [expected[real(forest)]]) < 1e-5


@settings(max_examples=150, deadline=None)
@given(rows_of_tokens, st.integers(1, 9), st.none() | st.integers(1, 6), st.sampled_from([0, 500, 2**25]))
def test_blocks_of_any_size_equal_sdpa_on_any_forest(rows: Any, size: int, window: int | None, room: int) -> None:
    """Whether the probabilities of all blocks, of some or of none are kept for the backward pass."""
    forest = forest_of(rows, window)
    tensors = inputs(forest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "KEPT_WEIGHTS", room)
        found = outcome(by_blocks(blocks_of(forest.trees, size)), tensors, forest)
    assert largest_error(found, outcome(dense(forest), tensors, forest)) < 1e-5


def test_no_more_is_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    forest = forest_of([list(range(10, 22))])
    blocks = blocks_of(forest.trees, 4)

    def kept(room: int) -> int:
        monkeypatch.setattr(attention, "KEPT_WEIGHTS", room)
        query, key, value, _ = inputs(forest)
        seen: dict[int, int] = {}
        with torch.autograd.graph.saved_tensors_hooks(lambda t: seen.update({t.data_ptr(): t.nbytes}), lambda t: t):
            block_attention(query, key, value, 1.0, blocks)
        return sum(seen.values()) - sum(tensor.nbytes for tensor in (query, key, value))

    sizes = [HEADS * 4 * seen * 4 for seen in (4, 8, 12)]  # heads, nodes, keys, bytes
    two = sizes[0] + sizes[1]
    assert [kept(room) for room in (2**25, two, two - 1, 0)] == [sum(sizes), two, sizes[0], 0]


def test_blocks_compute_fewer_cells_than_a_dense_mask() -> None:
    prompt = list(range(10, 300))
    forest = forest_of([[*prompt, *range(1000 * n, 1000 * n + 40)] for n in range(1, 10)])
    blocks = blocks_of(forest.trees)
    cells = sum((b.stop - b.start) * sum(stop - start for start, stop in b.keys) for b in blocks)
    assert forest.mask().sum() <= cells < 0.65 * forest.mask().size
    assert sum(b.stop - b.start for b in blocks) == forest.nodes


def test_blocks_in_bfloat16_are_as_near_as_sdpa_is() -> None:
    rows = [[*range(10, 90), *range(100 * n, 100 * n + 30)] for n in range(1, 5)]
    forest = forest_of(rows)
    exact = outcome(dense(forest), inputs(forest), forest)
    rough = inputs(forest, torch.bfloat16)
    blocks = blocks_of(forest.trees)
    ours, sdpa = (largest_error(outcome(attend, rough, forest), exact) for attend in (by_blocks(blocks), dense(forest)))
    assert ours < max(2 * sdpa, 0.02)
    query, key, value = (tensor.detach() for tensor in rough[:3])
    found = block_inference(query, key, value, DEPTH**-0.5, blocks) * real(forest)[..., None, None]
    assert largest_error([found], exact[:1]) < max(2 * sdpa, 0.02)


@pytest.mark.parametrize("window", [None, 5])
def test_flex_attention_equals_sdpa(window: int | None) -> None:
    """Not compiled, and forwards only: its kernels are for GPUs, its definition is the same."""
    prompt = list(range(10, 40))
    forest = forest_of([[*prompt, 1, 2, 3], [*prompt, 1, 5], [7, 8, 9], prompt[:20] + [2] * 9], window)
    query, key, value, _ = (tensor.detach() for tensor in inputs(forest))
    found = _flex_attention(query, key, value, DEPTH**-0.5, _flex_mask(forest, "cpu"))
    expected = dense(forest)(query, key, value)
    assert largest_error([found[real(forest)]], [expected[real(forest)]]) < 1e-5


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "qwen3"])
@pytest.mark.parametrize("backend", ["dense", "blocks", pytest.param("flex", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_every_backend_gives_each_row_its_own_hidden_states(
    random_model: Any, kind: str, backend: str, checkpointing: bool
) -> None:
    device = "cuda" if backend == "flex" else "cpu"
    model = random_model(kind, **({"sliding_window": 12} if kind == "mistral" else {})).to(device)
    ids = torch.tensor([[*range(5, 35), *end] for end in ([40, 41, 42], [40, 41, 50], [60, 61, 62])]).to(device)
    weights = torch.randn(*ids.shape, model.config.hidden_size, generator=torch.Generator().manual_seed(0)).to(device)

    def step() -> tuple[torch.Tensor, torch.Tensor]:
        model.zero_grad()
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        (hidden * weights).sum().backward()
        return hidden.detach(), model.base_model.layers[0].self_attn.k_proj.weight.grad.clone()

    plain = step()
    if checkpointing:
        model.activation_checkpointing_enable()
        model.train()
    sharing = share_prefixes(model, backend)
    assert largest_error(list(step()), list(plain)) < 1e-5
    assert (sharing.asked, sharing.computed) == (99, 30 + 3 + 1 + 3)


def test_the_backend_is_chosen_by_the_device_and_named(random_model: Any, capsys: Any) -> None:
    install_packing("auto", random_model())
    assert "attention by blocks (a CPU computes only what is seen)" in capsys.readouterr().out
    install_packing("auto", random_model(), "dense")
    assert "attention by dense (hardware.packing_backend=dense)" in capsys.readouterr().out
    dropping = random_model()
    dropping.config.attention_dropout = 0.1
    assert choose_backend(dropping)[0] == "dense"


@pytest.mark.parametrize(("capability", "backend"), [((7, 5), "dense"), ((8, 0), "flex"), ((9, 0), "flex")])
def test_flex_is_for_gpus_that_have_it(
    random_model: Any, monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], backend: str
) -> None:
    class OnAGPU:
        config = random_model().config

        def parameters(self) -> Any:
            yield type("Weight", (), {"device": torch.device("cuda")})()

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_backend(OnAGPU())[0] == backend
