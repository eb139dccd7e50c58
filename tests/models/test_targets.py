"""Which layers carry an adapter: chosen as PEFT chooses them, before weights are there, and counted by the planner."""

from typing import Any

import pytest

from edu_align.models.locate import Location
from edu_align.models.targets import check_targets
from edu_align.models.weights import add_adapter
from edu_align.planning.parameters import count_parameters
from edu_align.utils.errors import UserError
from tests.conftest import Compose

UNTIED = "model.architecture.tie_word_embeddings=false"
NOWHERE = Location(None, "random:tiny")
CHOICES = [
    "adapter.target_modules=.*layers\\.1\\..*[qv]_proj",
    "adapter.target_modules=[v_proj,layers.0.mlp.up_proj]",
    "adapter.target_modules=all-linear +adapter.args.layers_to_transform=1",
    "adapter.target_modules=[q_proj,o_proj] +adapter.args.layers_to_transform=[0]",
    "+adapter.args.exclude_modules=[down_proj]",
    "+adapter.args.exclude_modules=.*layers\\.0.*",
    "+adapter.args.rank_pattern={q_proj:2,down_proj:7} +adapter.args.alpha_pattern={q_proj:3.5}",
    "adapter=dora",
    "adapter=pissa",
    "+adapter.args.modules_to_save=[lm_head,embed_tokens]",
    "+adapter.args.modules_to_save=[norm,input_layernorm,post_attention_layernorm]",
    "+adapter.args.modules_to_save=[model.norm]",
]  # fmt: skip


@pytest.mark.parametrize("words", CHOICES)
def test_the_plan_counts_what_peft_trains(words: str, typed: Compose, random_model: Any) -> None:
    config = typed("trainer=sft", UNTIED, *words.split())
    check_targets(config.model, NOWHERE, config.adapter)
    model = add_adapter(random_model(tie_word_embeddings=False), config.adapter, 0)
    trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
    assert count_parameters(config.model.architecture, config.adapter).trained == trained


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("adapter.target_modules=[q_proj]", "edu_align: adapter on 2 of 14 linear layers (q_proj)"),
        ("adapter.target_modules=.*\\.1\\..*k_proj", "edu_align: adapter on 1 of 14 linear layers (k_proj)"),
        ("adapter.target_modules=[all-linear]", ""),
        ("+adapter.args.modules_to_save=[lm_head]", "edu_align: 1 modules trained in full (lm_head)"),
    ],
)
def test_the_layers_are_said_in_one_line(words: str, expected: str, typed: Compose) -> None:
    config = typed("trainer=sft", UNTIED, *words.split())
    assert check_targets(config.model, NOWHERE, config.adapter) == expected


WRONG = [
    ("adapter.target_modules=q_proj", "For names that end so write adapter.target_modules=[q_proj]."),
    ("adapter.target_modules=.*qproj", "matches no linear layer of model=tiny. Their names are like model.layers.0"),
    ("adapter.target_modules=.*layers.*", "matches model.layers, which is no linear layer"),
    ("adapter.target_modules=[q_prj]", "q_prj matches no linear layer of model=tiny. Did you mean `q_proj`?"),
    ("adapter.target_modules=[lm_head]", "+adapter.args.modules_to_save=[lm_head] trains it."),
    ("adapter.target_modules=[q_proj] +adapter.args.layers_to_transform=[9]", "adapter.args.layers_to_transform=[9]`"),
    ("+adapter.args.rank_pattern={qproj:4}", "'qproj' matches no layer that carries the adapter. Did you mean"),
    ("+adapter.args.lora_bias=true", "has no bias that the adapter's could be merged into."),
    ("adapter=pissa adapter.rank=99", "singular directions, and init_lora_weights=pissa takes one for each rank"),
    ("+adapter.args.modules_to_save=[lmhead]", "lmhead is no module of model=tiny. Did you mean `lm_head`?"),
    ("+adapter.args.modules_to_save=[norm]", "PEFT trains every module whose name ends with 'norm', and"),
    ("+adapter.args.modules_to_save=[q_proj]", "q_proj is for the adapter."),
    ("+adapter.args.modules_to_save=[mlp]", "is for the adapter. Trained in full can be embed_tokens, lm_head"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "expected"), WRONG)
def test_what_matches_nothing_or_too_much_is_refused(words: str, expected: str, typed: Compose) -> None:
    config = typed("trainer=sft", UNTIED, *words.split())
    with pytest.raises(UserError) as caught:
        check_targets(config.model, NOWHERE, config.adapter)
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", ["lm_head", "embed_tokens"])
def test_one_end_of_tied_embeddings_is_not_trained_alone(name: str, typed: Compose) -> None:
    config = typed("trainer=sft", f"+adapter.args.modules_to_save=[{name}]")
    with pytest.raises(UserError, match="are one matrix"):
        check_targets(config.model, NOWHERE, config.adapter)
