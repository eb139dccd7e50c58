"""Variants of LoRA over a random base: they begin as the base, leave it as it is, and are what PEFT computes."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from edu_align.models.principal import as_ordinary_lora, begin_principal, starts
from edu_align.models.weights import add_adapter
from edu_align.planning.parameters import count_parameters
from tests.conftest import Compose

IDS = torch.tensor([[5, 9, 31, 7, 64, 12, 80], [3, 3, 40, 41, 42, 43, 44]])
VARIANTS = {
    "rslora": ["adapter=rslora"],
    "dora": ["adapter=dora"],
    "pissa": ["adapter=pissa"],
    "pissa, fast": ["adapter=pissa", "adapter.args.init_lora_weights=pissa_niter_4"],
    "olora": ["adapter=pissa", "adapter.args.init_lora_weights=olora"],
    "in full": ["+adapter.args.modules_to_save=[lm_head,embed_tokens,model.norm]"],
}
PRINCIPAL = ("pissa", "olora")


def largest(a: torch.Tensor, b: torch.Tensor) -> float:
    return (a.float() - b.float()).abs().max().item()


def logits(model: Any, autocast: bool = False) -> torch.Tensor:
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        found: torch.Tensor = model(IDS).logits
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_begins_as_the_base_and_leaves_it(
    name: str, autocast: bool, dtype: torch.dtype, random_model: Any, typed: Compose
) -> None:
    """Within what fused norms round: to the bit in bfloat16 with the adapter off, within a step of the logits on."""
    base = random_model(tie_word_embeddings=False).to(dtype).eval()
    weights = {key: value.clone() for key, value in base.state_dict().items()}
    expected = logits(base, autocast)
    model = add_adapter(copy.deepcopy(base), typed("trainer=dpo", *VARIANTS[name]).adapter, 0).eval()
    with model.disable_adapter():
        off = logits(model, autocast)
    exact = dtype == torch.float32 and not autocast
    assert largest(off, expected) < (1e-6 if exact else 4e-3)
    assert largest(logits(model, autocast), off) < (1e-6 if exact else 4e-3)
    kept = {
        key.replace(".base_layer", "").replace(".original_module", ""): value
        for key, value in model.base_model.model.state_dict().items()
    }
    assert all(torch.equal(kept[key], value) for key, value in weights.items())


def test_dora_begins_as_a_bfloat16_base_to_the_bit(random_model: Any, typed: Compose) -> None:
    """PEFT's own lengths, taken in bfloat16, do not."""
    base = random_model().to(torch.bfloat16).eval()
    ours = add_adapter(copy.deepcopy(base), typed("trainer=dpo", "adapter=dora").adapter, 0).eval()
    theirs = get_peft_model(copy.deepcopy(base), LoraConfig(r=4, use_dora=True, target_modules="all-linear")).eval()
    with ours.disable_adapter():
        off = logits(ours)
    assert torch.equal(logits(ours), off)
    assert not torch.equal(logits(theirs), logits(base))


@pytest.mark.parametrize("word", PRINCIPAL)
@pytest.mark.parametrize("scaled", [False, True])
def test_a_principal_start_computes_what_peft_does(word: str, scaled: bool, random_model: Any) -> None:
    """The values and the gradients of PEFT's own layers, which take the start out of the base; not on a shared base."""
    options: dict[str, Any] = {"r": 4, "lora_alpha": 8, "use_rslora": scaled, "target_modules": "all-linear"}
    theirs = get_peft_model(random_model(), LoraConfig(init_lora_weights=word, **options))
    ours = get_peft_model(random_model(), LoraConfig(**options))
    begin_principal(ours, word)
    noise = torch.Generator().manual_seed(3)
    for (name, own), (_, other) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        if "lora_" in name:
            assert largest(own, other) < 1e-5
            step = torch.randn(own.shape, generator=noise) * 0.05
            own.data += step
            other.data += step
    outcomes = []
    for model in (ours, theirs):
        found = model(IDS).logits
        found.logsumexp(-1).square().sum().backward()
        grads = torch.cat([p.grad.flatten() for n, p in model.named_parameters() if "lora_" in n])
        outcomes.append((found.detach(), grads))
    (own, own_grads), (other, other_grads) = outcomes
    assert largest(own, other) < 1e-5
    assert (own_grads - other_grads).norm() < 1e-4 * other_grads.norm()


def test_what_an_adapter_begins_with_is_counted_and_not_trained(random_model: Any, typed: Compose) -> None:
    config = typed("trainer=dpo", "adapter=pissa")
    model = add_adapter(random_model(), config.adapter, 0)
    counts = count_parameters(config.model.architecture, config.adapter)
    assert sum(value.numel() for value in starts(model).values()) == counts.frozen == counts.trained
    assert not any(value.requires_grad for value in starts(model).values())


def test_a_fused_product_runs_for_plain_and_principal_layers_alone(
    random_model: Any, typed: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edu_align.fused.lora import _LoraProduct

    calls: list[int] = []
    original = _LoraProduct.apply
    monkeypatch.setattr(_LoraProduct, "apply", lambda *given: calls.append(1) or original(*given))
    for words, many in ((["adapter=pissa"], 14), (["adapter=rslora"], 14), (["adapter=dora"], 0)):
        calls.clear()
        logits(add_adapter(random_model(), typed("trainer=dpo", *words).adapter, 0))
        assert len(calls) == many, words


@pytest.mark.parametrize("name", ["pissa", "dora", "in full"])
def test_what_an_adapter_computes_has_a_key_of_its_own(name: str, random_model: Any, typed: Compose) -> None:
    """Of everything that the adapter holds: a changed length, module or start is another model."""
    from edu_align.cache.run_cache import adapter_content

    model = add_adapter(random_model(tie_word_embeddings=False), typed("trainer=dpo", *VARIANTS[name]).adapter, 0)
    seen = {adapter_content(model)}
    parts = {"pissa": [".start"], "dora": ["magnitude"], "in full": [".modules_to_save."]}[name] + [".lora_A."]
    for part in parts:
        every = [*model.named_parameters(), *model.named_buffers()]
        next(value for key, value in every if part in key and "default" in key).data.add_(0.5)
        seen.add(adapter_content(model))
    assert None not in seen
    assert len(seen) == 1 + len(parts)
    with model.disable_adapter():
        assert adapter_content(model) is None


@pytest.mark.parametrize("scaled", [False, True])
def test_patterns_of_rank_and_scale_are_saved_with_a_principal_start(
    scaled: bool, random_model: Any, tmp_path: Path
) -> None:
    """The saved folder, loaded by PEFT over the untouched base, is the model in memory."""
    base = random_model()
    patterns: dict[str, Any] = {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"q_proj": 20, "up_proj": 3}}
    lora = LoraConfig(r=4, lora_alpha=8, use_rslora=scaled, target_modules="all-linear", **patterns)
    model = get_peft_model(copy.deepcopy(base), lora)
    begin_principal(model, "pissa")
    for name, value in model.named_parameters():
        if "lora_" in name:
            value.data += torch.randn(value.shape, generator=torch.Generator().manual_seed(len(name))) * 0.1
    model.eval()
    with as_ordinary_lora(model) as options:
        model.save_pretrained(str(tmp_path), **options)
    loaded = PeftModel.from_pretrained(copy.deepcopy(base), str(tmp_path)).eval()
    assert largest(logits(loaded), logits(base)) > 1e-3
    assert largest(logits(loaded), logits(model)) < 1e-5
