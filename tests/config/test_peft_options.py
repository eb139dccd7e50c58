"""The table of PEFT's options against the installed class, and what is said of each that is wrong."""

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from edu_align.config.peft_options import PASSED, REFUSED, lora_fields, owned
from edu_align.runs.identity import settings_of
from tests.composing import config_of

Problems = Callable[..., list[str]]


def test_every_field_is_ours_or_passed_or_refused() -> None:
    every = Counter(field for fate in (set(owned()), set(PASSED), set(REFUSED)) for field in fate)
    assert every.keys() == lora_fields()
    assert [field for field, count in every.items() if count > 1] == []


@pytest.mark.slow
def test_the_table_has_the_defaults_of_the_imported_class() -> None:
    from peft import LoraConfig

    fields: dict[str, Any] = {item.name: item for item in dataclasses.fields(LoraConfig)}
    assert fields.keys() == lora_fields()
    plain = LoraConfig()
    assert {name: getattr(plain, name) for name in PASSED} == {name: each.default for name, each in PASSED.items()}


WRONG = [
    ("+adapter.args.use_dra=true", "is not an option of PEFT's LoraConfig. Did you mean `adapter.args.use_dora`?"),
    ("+adapter.args.r=8", "`adapter.args.r` is set by `adapter.rank`."),
    ("+adapter.args.lora_alpha=8", "`adapter.args.lora_alpha` is set by `adapter.alpha`."),
    ("+adapter.args.lora_dropout=0.1", "is set by `adapter.dropout`."),
    ("+adapter.args.target_modules=[q_proj]", "is set by `adapter.target_modules`."),
    ("+adapter.args.base_model_name_or_path=x", "is set by `model.path`."),
    ("+adapter.args.task_type=CAUSAL_LM", "cannot be set here: edu_align sets it. Drop it."),
    ("+adapter.args.bias=all", "DPO's reference, is not the base. Drop it."),
    ("+adapter.args.trainable_token_indices=[1]", "modules_to_save=[embed_tokens]"),
    ("+adapter.args.loftq_config={loftq_bits:4}", "reads data or gradients"),
    ("+adapter.args.use_dora=1", "must be true or false, got 1. PEFT's own is false."),
    ("+adapter.args.init_lora_weights=pisa", "got 'pisa'. Did you mean `pissa`?"),
    ("+adapter.args.init_lora_weights=pissa_niter_", "must be one of true | gaussian"),
    ("+adapter.args.init_lora_weights=false", "begins with noise"),
    ("+adapter.args.modules_to_save=lm_head", "must be a list of names such as [lm_head], got 'lm_head'."),
    ("+adapter.args.rank_pattern={q_proj:0}", "must be >= 1, got"),
    ("+adapter.args.rank_pattern={q_proj:1.5}", "must be a mapping of names to whole numbers"),
    ("+adapter.args.alpha_pattern={q_proj:-1}", "must be > 0, got"),
    ("+adapter.args.exclude_modules='(q'", "is no regular expression"),
    ("+adapter.args.layers_to_transform=-1", "must be >= 0, got -1."),
    ("+adapter.args.layers_to_transform=[0,x]", "must be the number of a layer, or a list of them"),
    ("+adapter.args.layers_pattern=layers", "does nothing without layers_to_transform."),
    ("+adapter.args.layers_to_transform=1 adapter.target_modules=.*q_proj", "goes with a list"),
    ("adapter=dora hardware.quantization=nf4", "which no export has. Set hardware.quantization=none, or adapter=lora."),
    ("adapter=pissa hardware.quantization=nf4", "would have to be rounded anew."),
    ("adapter=pissa adapter.dropout=0.1", "Set adapter.dropout=0.0."),
    ("adapter=pissa +adapter.args.use_dora=true", "cannot go together"),
    ("adapter=pissa +adapter.args.use_rslora=true +adapter.args.rank_pattern={q_proj:4}", "Drop use_rslora, or the"),
    ("+adapter.args.lora_bias=true +adapter.args.use_dora=true", "goes with neither"),
    ("adapter=full +adapter.args.use_dora=true", "is for LoRA, and adapter=full trains every weight"),
    ("adapter=full adapter.lora_plus_ratio=4", "is for LoRA, and adapter=full has no second matrix."),
    ("adapter.lora_plus_ratio=0.5", "must be >= 1, got 0.5."),
    ("adapter.target_modules='(q_proj'", "is a regular expression over whole names, and '(q_proj' is none"),
    ("adapter.target_modules=[]", "must name layers with adapter=lora, got []."),
]  # fmt: skip


@pytest.mark.parametrize(("words", "expected"), WRONG)
def test_what_is_wrong_is_said_by_name(problems: Problems, words: str, expected: str) -> None:
    (found,) = problems(*words.split())
    assert expected in found


@pytest.mark.parametrize("variant", ["dora", "pissa"])
def test_sharded_weights_are_refused_for_what_reads_them_whole(
    problems: Problems, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    found = problems(f"adapter={variant}", "hardware.sharding=fsdp")
    assert any("hardware.sharding=fsdp spreads them" in line for line in found)


def test_a_target_is_a_list_or_a_regular_expression_as_typed() -> None:
    pattern = r"adapter.target_modules=.*\.layers\.(1[0-9]|2)\..*[qv]_proj"
    assert config_of(pattern).adapter.target_modules == pattern.partition("=")[2]
    assert config_of("adapter.target_modules=[q_proj,v_proj]").adapter.target_modules == ["q_proj", "v_proj"]
    assert config_of("adapter.target_modules=all-linear").adapter.target_modules == "all-linear"


@pytest.mark.parametrize("word", ["adapter.lora_plus_ratio=4", "adapter=dora", "adapter.target_modules=.*q_proj"])
def test_what_an_adapter_is_counts_in_the_id(word: str) -> None:
    plain, other = (settings_of(asdict(config_of(*words))) for words in ([], [word]))
    assert plain != other
    assert "adapter.lora_plus_ratio" not in plain, "a key that came later is in no id at its default"


def test_a_new_field_of_peft_is_not_passed(problems: Problems, monkeypatch: pytest.MonkeyPatch) -> None:
    from edu_align.config import peft_options

    original = peft_options.fields_of
    monkeypatch.setattr(peft_options, "fields_of", lambda *place: original(*place) | {"brand_new"})
    (found,) = problems("+adapter.args.brand_new=1")
    assert "an option of PEFT's that this version of edu_align does not know" in found
