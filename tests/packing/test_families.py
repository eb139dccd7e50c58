"""Every family that is packed, on tiny random networks: the numbers are those of each row alone."""

import copy
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoConfig

from edu_align.models.scoring import label_logps
from edu_align.packing.backends import attend_to_ancestors
from edu_align.packing.decoder import install_packing, share_prefixes, unpackable_reason
from edu_align.packing.families import (
    BY_TYPE,
    EVERY,
    FAMILIES,
    REFUSED,
    WINDOW,
    inexact_reason,
    layer_windows,
    stated_config,
)
from edu_align.packing.forest import build_forest
from edu_align.packing.scores import score_labels_once
from edu_align.utils.errors import UserError
from tests.networks import LONG, NETWORKS, SHAPE, SHORT, network
from tests.networks import WINDOW as TOKENS
from tests.packing.test_decoder import close, equal_gradients, gradients, with_adapter
from tests.packing.test_forest import batch

LONGEST = 46  # tokens of the longest row below
PROMPT = [4 + (7 * i) % 250 for i in range(30)]
ROWS = [
    PROMPT + [100 + i for i in range(9)], PROMPT + [150 + 3 * i for i in range(16)], [*PROMPT, 100, 101, 250],
    [9, 8, 7, 6, 5],
]  # fmt: skip
every_network = pytest.mark.parametrize("name", NETWORKS)


def test_each_family_has_a_network() -> None:
    assert {kind for kind, _ in NETWORKS.values()} == set(FAMILIES)
    assert max(map(len, ROWS)) == LONGEST > 3 * TOKENS


WAYS = {
    EVERY: "yes", WINDOW: "yes, with a sliding window or without",
    BY_TYPE: "yes, also with layers that have a window beside layers that have none",
}  # fmt: skip


def table() -> str:
    """The table of docs/models.md."""
    lines = ["| `model_type` of the network | packed, norms and rotations fused on a CPU |", "|---|---|"]
    for way, words in WAYS.items():
        kinds = ", ".join(f"`{kind}`" for kind, family in FAMILIES.items() if family.attends == way)
        lines.append(f"| {kinds} | {words} |")
    return "\n".join([*lines, *(f"| `{kind}` | no: {why} |" for kind, why in REFUSED.items())])


def test_the_table_in_the_documentation_is_what_is_packed() -> None:
    assert table() in (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


def step(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Hidden states (B, L, H), and the gradients of a loss that reads every real one."""
    base = model.get_base_model()
    hidden = base.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    weights = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(0)) * mask[..., None]
    (hidden * weights).sum().backward()
    return hidden.detach() * mask[..., None], gradients(model)


@pytest.mark.parametrize("backend", [pytest.param("dense", marks=pytest.mark.slow), "blocks", "flex"])
@every_network
def test_hidden_states_and_gradients_are_the_unpacked_ones(name: str, backend: str, typed: Any) -> None:
    """Also where rows are several windows long. FlexAttention has no backward pass on a CPU: values only."""
    ids, mask = map(torch.from_numpy, batch(ROWS))
    model = with_adapter(network(name), typed("trainer=sft"))
    hidden, expected = step(model, ids, mask)
    sharing = share_prefixes(model.get_base_model(), backend, LONGEST)
    if backend == "flex":
        with torch.no_grad():
            packed = model.get_base_model().base_model(ids, mask, use_cache=False).last_hidden_state
        close(packed * mask[..., None], hidden, "hidden states")
        return
    packed, found = step(model, ids, mask)
    close(packed, hidden, "hidden states")
    equal_gradients(found, expected)
    assert (sharing.asked, sharing.computed) == (sum(map(len, ROWS)), 30 + 9 + 16 + 1 + 5)


@every_network
def test_log_probabilities_are_those_of_the_whole_model(name: str) -> None:
    """The head behind packing: TRL's fused one, ours in its place, and the one that scores held-out replies."""
    from trl.trainer.utils import add_fused_lm_head

    ids, mask = map(torch.from_numpy, batch(ROWS))
    model = network(name).requires_grad_(False)
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits
    known = logits.log_softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None]).squeeze(-1) * mask[:, 1:]
    share_prefixes(model, longest=LONGEST)
    score_labels_once()
    add_fused_lm_head(model)
    with torch.no_grad():
        labels = ids.masked_fill(mask == 0, -100)
        close(model(ids, mask, labels=labels, fused_lm_head=True).log_probs, known, "TRL's head")
    scored = label_logps(model, [(row, row) for row in ROWS], 0)
    close(torch.tensor([total for total, _ in scored]), known.sum(1), "held-out scores")
    assert [count for _, count in scored] == [len(row) - 1 for row in ROWS]


@every_network
def test_generation_is_the_unpacked_one(name: str) -> None:
    model = network(name)
    ids, mask = map(torch.from_numpy, batch(ROWS[1:], left=True))
    options = {"attention_mask": mask, "max_new_tokens": 5, "do_sample": False, "use_cache": True}
    plain = model.generate(ids, **options)
    sharing = share_prefixes(model, longest=LONGEST)
    assert torch.equal(model.generate(ids, **options), plain)
    assert sharing.computed == 0


def test_a_window_counts_for_its_layers_alone() -> None:
    kinds = {name: layer_windows(network(name).config) for name in NETWORKS if "sliding" in name or "window" in name}
    assert kinds == {
        "mistral without a window": {"full_attention": None},
        "qwen2 with sliding layers": {"full_attention": None, "sliding_attention": TOKENS},
        "qwen2 with a window for no layer": {"full_attention": None},
        "smollm3 with sliding layers": {"full_attention": None, "sliding_attention": TOKENS},
    }


@pytest.mark.parametrize(("rows", "layouts"), [(ROWS, 2), ([row[:TOKENS] for row in ROWS], 1)])
def test_layers_that_see_the_same_share_one_layout(rows: list[list[int]], layouts: int) -> None:
    forest = build_forest(*batch(rows), one_row=True)
    handed = attend_to_ancestors(forest, "blocks", network("gemma3_text").config, "cpu")
    assert set(handed["forest"]) == {None, TOKENS}
    assert len({id(blocks) for blocks in handed["forest"].values()}) == layouts
    assert set(handed["attention_mask"]) == {"full_attention", "sliding_attention"}


@pytest.mark.parametrize(
    ("name", "limit"), [("llama dynamic", SHAPE["max_position_embeddings"]), ("phi3 longrope", 64)]
)
def test_positions_that_change_with_the_longest_row_are_packed_below_that_length_only(name: str, limit: int) -> None:
    model = network(name)
    assert unpackable_reason(model, limit) is None
    kind = name.split()[1]
    for longest, said in ((limit + 1, f"of up to {limit + 1} tokens"), (None, "of any length")):
        assert unpackable_reason(model, longest) == (
            f"rotary positions of type {kind} change for all rows of a pass where one is over {limit} tokens, and rows "
            f"{said} may come"
        )
    with pytest.raises(UserError, match=f"hardware.packing=on.*type {kind} change"):
        install_packing("on", model, longest=limit + 1)


@pytest.mark.parametrize("name", ["llama dynamic", "phi3 longrope"])
def test_a_row_over_that_length_does_change_the_others(name: str) -> None:
    """The reason is a true one: one row's hidden states differ by the length of its neighbour."""
    model = network(name, **({"max_position_embeddings": 64} if "dynamic" in name else {}))
    row = [4 + i % 250 for i in range(60)]
    other = [4 + i % 250 for i in range(80)]

    def hidden(rows: list[list[int]]) -> torch.Tensor:
        ids, mask = map(torch.from_numpy, batch(rows))
        with torch.no_grad():
            return model.base_model(ids, mask, use_cache=False).last_hidden_state[0, : len(row)]

    assert (hidden([row]) - hidden([row, other])).abs().max() > 1e-2


OLD_NAMES = [
    {"rope_scaling": {"type": "dynamic", "factor": 2.0}},
    {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_theta": 500.0},
    {"rope_scaling": None},
    {
        "model_type": "phi3",
        "rope_scaling": {
            "type": "su", "short_factor": SHORT, "long_factor": LONG, "original_max_position_embeddings": 64,
        },
    },
    {"model_type": "phi3", "rope_scaling": {"type": "longrope", "short_factor": SHORT, "long_factor": LONG}},
    {"model_type": "gemma3_text", "rope_scaling": {"rope_type": "linear", "factor": 8.0}},
    {"model_type": "qwen3", "layer_types": ["full_attention", "chunked_attention"] * 2},
    {"model_type": "gemma3_text", "use_bidirectional_attention": True},
    {"model_type": "gemma2"},
]  # fmt: skip
CONTENTS = [{"model_type": kind, **keys} for kind, keys in NETWORKS.values()]
CONTENTS += [{"model_type": "llama", **keys} for keys in OLD_NAMES]


@pytest.mark.parametrize("content", CONTENTS, ids=[*NETWORKS, *map(str, range(len(OLD_NAMES)))])
def test_config_json_alone_says_the_same(content: dict[str, Any]) -> None:
    """As a hub has it, and as transformers writes it."""
    content = copy.deepcopy({**SHAPE, **content})
    config = AutoConfig.for_model(**copy.deepcopy(content))
    for said in (content, json.loads(json.dumps(config.to_dict()))):
        for longest in (None, 64, 65, 1024, 1025, 4096, 4097):
            assert inexact_reason(stated_config(said), longest) == inexact_reason(config, longest)


def test_reasons_name_what_is_not_packed() -> None:
    def reason(kind: str, **keys: Any) -> str:
        return str(inexact_reason(AutoConfig.for_model(kind, **keys)))

    for kind, why in REFUSED.items():
        assert reason(kind) == f"model_type {kind!r} is not packed: {why}"
    assert "'bert' is not one of llama, mistral" in reason("bert")
    assert "use_bidirectional_attention" in reason("gemma3_text", use_bidirectional_attention=True)
    chunked = ["full_attention", "chunked_attention"]
    assert "(chunked_attention)" in reason("qwen3", num_hidden_layers=2, layer_types=chunked)
    made_up = SimpleNamespace(model_type="llama", rope_parameters={"rope_type": "made_up"})
    assert inexact_reason(made_up) == "rotary positions of type made_up are not known here"
