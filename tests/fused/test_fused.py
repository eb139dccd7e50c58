"""Fused adapters, norms and rotations against PEFT and transformers: values, gradients, and who uses them."""

import copy
import importlib
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from edu_align.fused import fuse
from edu_align.fused.decoder import _Norm, _Rotation
from edu_align.fused.lora import MANY_ROWS, _LoraProduct, fuse_lora
from edu_align.packing.families import FAMILIES
from tests.networks import NETWORKS, SHAPE, network

KINDS = sorted({kind.removesuffix("_text") for kind in FAMILIES})  # as transformers names their folders
IDS = torch.tensor([[5, 9, 31, 7, 64, 12, 80], [3, 3, 40, 41, 42, 43, 44]])


def adapted(name: str = "llama", **options: Any) -> Any:
    """A random network under LoRA whose second matrix is not zero, so that every gradient flows."""
    return with_lora(network(name), **options)


def with_lora(network: Any, **options: Any) -> Any:
    torch.manual_seed(1)
    model = get_peft_model(network, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", **options))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn_like(parameter) * 0.1)
    return model


def outcome(model: Any, dtype: torch.dtype | None = None) -> dict[str, torch.Tensor]:
    """Logits and the gradient of every trained parameter; under autocast where a dtype is given."""
    model.zero_grad()
    with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
        logits = model(input_ids=IDS).logits
    logits.float().logsumexp(-1).square().sum().backward()
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return {"logits": logits.detach().float(), **grads}


def largest_error(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    assert found.keys() == expected.keys()
    return max((found[k] - expected[k]).norm().item() / expected[k].norm().item() for k in expected)


@pytest.fixture(autouse=True)
def transformers_rotation() -> None:
    """Every test starts with transformers' own rotation, which an earlier one may have replaced in this process."""
    for kind in KINDS:
        home: Any = importlib.import_module(f"transformers.models.{kind}.modeling_{kind}")
        home.apply_rotary_pos_emb = getattr(home.apply_rotary_pos_emb, "unfused", home.apply_rotary_pos_emb)


@pytest.mark.parametrize("name", NETWORKS)
def test_equals_peft_and_transformers_in_float32(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in how many norms and rotations are fused: all, but for heads that are rotated in part."""
    counts = {"norms": 0, "rotations": 0}

    def counted(function: Any, what: str) -> None:
        apply = function.apply
        monkeypatch.setattr(
            function, "apply", lambda *given: (counts.update({what: counts[what] + 1}), apply(*given))[1]
        )

    model = adapted(name)
    expected = outcome(copy.deepcopy(model))
    assert len(expected) > 10
    counted(_Norm, "norms")
    counted(_Rotation, "rotations")
    assert largest_error(outcome(fuse(model)), expected) < 1e-5
    assert counts["norms"] == sum(type(module).__name__.endswith("RMSNorm") for module in model.modules())
    layers = sum(getattr(model.config, "no_rope_layers", [1] * SHAPE["num_hidden_layers"]))
    assert counts["rotations"] == (0 if "in part" in name else 2 * layers)


@pytest.mark.parametrize("name", ["llama", "gemma3_text", "olmo2"])
def test_norms_that_are_trained_stay_transformers(name: str) -> None:
    model = network(name)
    expected = outcome(copy.deepcopy(model))
    assert "model.norm.weight" in expected
    assert largest_error(outcome(fuse(model)), expected) < 1e-5


def test_a_family_that_is_not_known_is_said_and_keeps_its_own_code(capsys: pytest.CaptureFixture[str]) -> None:
    model = with_lora(network("gemma2", head_dim=8))
    expected = outcome(copy.deepcopy(model))
    assert largest_error(outcome(fuse(model)), expected) < 1e-5
    assert capsys.readouterr().out == "edu_align: norms and rotations of model_type 'gemma2' run unfused\n"


@pytest.mark.parametrize("name", ["llama", "qwen3", "gemma3_text", "olmo2", "phi3", "granite"])
def test_in_bfloat16_it_is_as_near_to_float32_as_peft_is(name: str) -> None:
    model = adapted(name)
    exact = outcome(model)
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if "lora" not in name and not parameter.requires_grad:
                parameter.data = parameter.data.bfloat16()
    apart = largest_error(outcome(copy.deepcopy(model), torch.bfloat16), exact)
    fused = largest_error(outcome(fuse(model), torch.bfloat16), exact)
    assert 0 < fused < max(1.5 * apart, 0.02)


def test_a_copy_runs_its_own_weights() -> None:
    """TRL deep-copies a model where it needs a frozen one."""
    model = fuse(adapted())
    copied = copy.deepcopy(model)
    before = outcome(copied)["logits"]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(outcome(copied)["logits"], before)
    assert outcome(model)["logits"].abs().max() == 0


@pytest.mark.parametrize("options", [{"lora_dropout": 0.5}, {"use_dora": True}, {"lora_bias": True}])
def test_leaves_what_it_does_not_know_to_peft(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = fuse(adapted(**options)).train()
    monkeypatch.setattr(_LoraProduct, "apply", lambda *_: pytest.fail("fused"))
    outcome(model)


def test_an_adapter_that_is_off_or_merged_is_not_applied() -> None:
    model = adapted()
    plain = copy.deepcopy(model)
    fuse(model)
    with torch.no_grad(), model.disable_adapter(), plain.disable_adapter():
        assert torch.allclose(model(IDS).logits, plain(IDS).logits, atol=1e-5)
    model.merge_adapter()
    plain.merge_adapter()
    assert torch.allclose(model(IDS).logits, plain(IDS).logits, atol=1e-5)


@pytest.mark.parametrize("trains", [True, False])
def test_in_bfloat16_a_young_adapter_is_not_rounded_away(trains: bool) -> None:
    """PEFT rounds the frozen product before it adds the adapter's; of a small adapter's part most is lost there. What
    only reads keeps no copy of a weight, and of few rows leaves the product to PEFT.
    """
    model = adapted()
    layer = next(module for name, module in model.named_modules() if name.endswith("q_proj"))
    layer.base_layer.weight.data = layer.base_layer.weight.data.bfloat16()
    x = torch.randn(4096, layer.base_layer.in_features).bfloat16()
    with torch.no_grad():
        layer.lora_B["default"].weight.mul_(1e-4)
        added = x.float() @ (layer.lora_B["default"].weight @ layer.lora_A["default"].weight).t()
        added *= layer.scaling["default"]

    def kept(forward: Any) -> float:
        """Share of the adapter's part that is in the output, over all rows and features."""
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=trains):
            out = forward(x).float() - x.float() @ layer.base_layer.weight.float().t()
        return float((out * added).sum() / added.square().sum())

    assert kept(lambda x: type(layer).forward(layer, x)) < 0.5
    assert 0.8 < kept(fuse_lora(layer)) < 1.2
    assert ("_wide" in layer.__dict__) == trains
    with torch.no_grad():
        assert torch.equal(layer(x[: MANY_ROWS - 1]), type(layer).forward(layer, x[: MANY_ROWS - 1]))


@pytest.mark.parametrize("kind", KINDS)
def test_rotated_queries_have_the_dtype_and_the_gradient_that_transformers_gives_them(kind: str) -> None:
    """Under autocast queries are bfloat16 and angles may be float32."""
    home: Any = importlib.import_module(f"transformers.models.{kind}.modeling_{kind}")
    fuse(adapted(next(name for name, (found, _) in NETWORKS.items() if found.removesuffix("_text") == kind)))
    draw = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, heads, 5, 8, generator=draw).bfloat16().requires_grad_() for heads in (4, 2))
    angles = [torch.randn(1, 5, 4, generator=draw).repeat(1, 1, 2) for _ in range(2)]  # alike in both halves
    found, expected = (
        [*rotate(q, k, *angles)] for rotate in (home.apply_rotary_pos_emb, home.apply_rotary_pos_emb.unfused)
    )
    for ours, theirs, given in zip(found, expected, (q, k), strict=True):
        assert ours.dtype == theirs.dtype
        torch.testing.assert_close(ours, theirs)
        (got,), (wanted,) = (torch.autograd.grad(part.square().sum(), given) for part in (ours, theirs))
        assert (got - wanted).norm() < 0.01 * wanted.norm()
