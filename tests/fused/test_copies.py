"""The second 16-bit copies of adapted weights: the same bits without them, and who decides."""

from dataclasses import replace
from typing import Any

import pytest
import torch

import edu_align.fused.copies as copies
from edu_align.config.schema import HardwareConfig
from edu_align.fused import fuse
from edu_align.fused.copies import settle_copies
from edu_align.fused.lora import copied_weights
from edu_align.planning.plan import make_plan, planned
from tests.composing import config_of
from tests.fused.test_fused import adapted, outcome, transformers_rotation

__all__ = ["transformers_rotation"]  # an automatic fixture
GIB = 2**30


def in_bfloat16(**options: Any) -> Any:
    model = fuse(adapted("qwen2", **options))
    for parameter in model.parameters():
        parameter.data = parameter.data if parameter.requires_grad else parameter.data.bfloat16()
    return model


def hardware(copied: str, memory_gb: float | None = None) -> HardwareConfig:
    return HardwareConfig("cpu", per_device_batch_size=1, eval_batch_size=1, adapted_copies=copied, memory_gb=memory_gb)


def kept(model: Any) -> int:
    """Bytes of copies that lie beside the weights."""
    return sum(vars(module)["_wide"][1].nbytes for module in model.modules() if "_wide" in vars(module))


def test_they_change_no_bit_and_are_gone_when_they_are_off() -> None:
    found = {}
    for word in ("on", "off"):
        model = in_bfloat16()
        settle_copies(model, hardware(word))
        found[word] = outcome(model, torch.bfloat16)
        size = sum(size for _, size in copied_weights(model))
        assert size > 0
        assert kept(model) == (size if word == "on" else 0)
    assert all(torch.equal(value, found["off"][name]) for name, value in found["on"].items())


@pytest.mark.parametrize(("room", "keeps"), [(2.1, True), (1.9, False), (None, True)])
def test_outside_of_training_they_may_take_half_of_what_is_left(
    room: float | None, keeps: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = in_bfloat16()
    size = sum(size for _, size in copied_weights(model))
    monkeypatch.setattr(copies, "available_memory", lambda: None if room is None else int(room * size))
    settle_copies(model, hardware("auto"))
    assert ("made anew in every pass" in capsys.readouterr().out) is not keeps
    outcome(model, torch.bfloat16)
    assert bool(kept(model)) is keeps
    if room is not None:
        weights = sum(weight.nbytes for weight in model.parameters())
        settle_copies(model, hardware("auto", (weights + room * size) / GIB))
        assert all(layer.keeps_copy is keeps for layer, _ in copied_weights(model))


@pytest.mark.parametrize("options", [{"use_dora": True}, {"lora_bias": True}])
def test_layers_that_are_not_fused_have_none(options: dict[str, Any]) -> None:
    assert list(copied_weights(in_bfloat16(**options))) == []


def test_the_plan_keeps_them_where_they_fit_and_says_where_not() -> None:
    words = ["trainer=dpo", "model=smollm2", "hardware=cpu", "hardware.dtype=bfloat16", "dataset.size=40"]

    def made(copied: str, memory: float) -> Any:
        return config_of(*words, f"hardware.adapted_copies={copied}", f"hardware.memory_gb={memory}")

    full, least = (make_plan(made(word, 100)) for word in ("on", "off"))
    saved = full.peak - least.peak
    assert saved == pytest.approx(full.parts["16-bit copies"], rel=0.05)
    for memory, word in ((full.peak / GIB + 0.01, "on"), (full.peak / GIB - 0.01, "off")):
        config = made("auto", memory)
        plan = make_plan(config)
        assert plan.fits
        assert plan.left_out == (saved if word == "off" else 0.0)
        assert ("would keep a copy of all adapted weights: left out" in plan.describe()) is (word == "off")
        assert planned(config).hardware.adapted_copies == word
    forced = make_plan(made("on", full.peak / GIB - 0.01))
    assert "hardware.adapted_copies=off" in {change.override for change in forced.changes if change.fits}


def test_where_memory_is_not_planned_nothing_is_decided() -> None:
    config = config_of("hardware=cpu", "hardware.memory_check=false", "hardware.memory_gb=0.1")
    assert planned(config).hardware.adapted_copies == "auto"
    assert (
        planned(replace(config, hardware=replace(config.hardware, adapted_copies="on"))).hardware.adapted_copies == "on"
    )
