"""What a hardware preset becomes on this machine."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from edu_align.errors import UserError
from edu_align.models import device as module
from edu_align.models.device import resolve


@pytest.fixture(autouse=True)
def _no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def hardware(typed: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *overrides: typed("trainer=sft", "hardware.dtype=auto", *overrides).hardware


@pytest.mark.parametrize("preset", ["t4", "a100"])
def test_a_cuda_preset_without_cuda(hardware: Any, preset: str) -> None:
    with pytest.raises(UserError, match=rf"`hardware={preset}` needs a CUDA GPU.*Use hardware=cpu"):
        resolve(hardware(f"hardware={preset}"))


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        ({"avx2", "amx_bf16"}, "bfloat16"), ({"avx512_bf16"}, "bfloat16"), ({"avx512f"}, "float32"), (set(), "float32")
    ],
)  # fmt: skip
def test_auto_dtype_follows_the_cpu(
    hardware: Any, monkeypatch: pytest.MonkeyPatch, flags: set[str], dtype: str
) -> None:
    monkeypatch.setattr(module, "cpu_flags", lambda: flags)
    resolved = resolve(hardware("hardware=auto"))
    assert (resolved.device, resolved.dtype, resolved.quantization) == ("cpu", dtype, "none")
    assert resolved.reasons[0] == "device=cpu: no CUDA device was found"
    assert resolved.reasons[1].startswith(f"dtype={dtype}: ")


def test_a_chosen_dtype_is_kept(hardware: Any) -> None:
    resolved = resolve(hardware("hardware=cpu", "hardware.dtype=bfloat16"))
    assert (resolved.dtype, resolved.reasons) == ("bfloat16", ())


def with_cuda(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "a card")


def test_auto_dtype_follows_the_compute_capability(hardware: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with_cuda(monkeypatch, (7, 5))
    assert resolve(hardware("hardware=auto")).dtype == "float16"
    with_cuda(monkeypatch, (8, 0))
    assert resolve(hardware("hardware=auto")).dtype == "bfloat16"


def test_a_card_below_the_preset(hardware: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with_cuda(monkeypatch, (7, 5))
    with pytest.raises(UserError, match=r"`hardware=a100` needs compute capability 8\.0, got 7\.5 \(a card\)"):
        resolve(hardware("hardware=a100"))
    with pytest.raises(UserError, match=r"`hardware\.dtype=bfloat16` needs compute capability 8\.0, got 7\.5"):
        resolve(hardware("hardware=t4", "hardware.dtype=bfloat16"))
    assert resolve(hardware("hardware=t4", "hardware.dtype=float16")).quantization == "nf4"
