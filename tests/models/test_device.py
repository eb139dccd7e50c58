"""What a hardware preset becomes on this machine, on the cards that it is for and on others: torch.cuda is replaced."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from edu_align.models import device as module
from edu_align.models.device import Device, check_optimizer, resolve
from edu_align.training.arguments import common_arguments
from edu_align.utils.errors import UserError
from tests.composing import config_of

CARDS = {"t4": (7, 5), "a100": (8, 0), "h100": (9, 0), "h200": (9, 0)}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`machine((7, 5), "bitsandbytes")`: a card of that compute capability (None: no card), and only these packages."""

    def build(capability: tuple[int, int] | None, *packages: str) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "a card")
        monkeypatch.setattr(module, "find_spec", lambda name: object() if name in packages else None)

    return build


def resolved(*overrides: str) -> Device:
    return resolve(config_of(*overrides))


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [({"avx2", "amx_bf16"}, "bfloat16"), ({"avx512_bf16"}, "bfloat16"), ({"avx512f"}, "float32"), (set(), "float32")],
)
def test_without_a_card_the_cpu_decides(
    machine: Any, monkeypatch: pytest.MonkeyPatch, flags: set[str], dtype: str
) -> None:
    machine(None)
    monkeypatch.setattr(module, "cpu_flags", lambda: flags)
    found = resolved("hardware=auto", "hardware.attention=sdpa")
    assert (found.device, found.dtype, found.quantization) == ("cpu", dtype, "none")
    assert found.reasons[0] == "device=cpu: no CUDA device was found"
    assert found.reasons[1].startswith(f"dtype={dtype}: ")
    assert resolved("hardware=auto", "model=tiny").dtype == "float32"
    for more in ((), ("model=tiny",)):
        chosen = resolved("hardware=cpu", "hardware.dtype=bfloat16", "hardware.attention=sdpa", *more)
        assert (chosen.dtype, chosen.reasons) == ("bfloat16", ())


def test_auto_takes_the_card_and_says_why(machine: Any) -> None:
    words = ("hardware=auto", "hardware.attention=auto")
    machine((7, 5))
    found = resolved(*words)
    assert (found.device, found.dtype, found.attention) == ("cuda", "float16", "sdpa")
    assert found.reasons == (
        "device=cuda: found a card",
        "dtype=float16: compute capability 7.5 has no native bfloat16",
        "attention=sdpa: FlashAttention-2 needs compute capability 8.0, got 7.5",
    )
    for capability in ((8, 0), (9, 0)):
        machine(capability, "flash_attn")
        found = resolved(*words)
        assert (found.dtype, found.attention, len(found.reasons)) == ("bfloat16", "flash_attention_2", 3)


def test_a_t4_computes_in_float16_on_4_bits(machine: Any, tmp_path: Any) -> None:
    machine(CARDS["t4"], "bitsandbytes")
    config = config_of("hardware=t4")
    found = resolve(config)
    assert found == Device("cuda", "float16", "sdpa", "nf4", ())
    arguments = common_arguments(config, found, tmp_path, by_tokens=False)
    assert (arguments["fp16"], arguments["bf16"], arguments["optim"]) == (True, False, "paged_adamw_8bit")
    assert (config.hardware.double_quantization, config.hardware.gradient_checkpointing) == (True, "full")
    with pytest.raises(UserError, match=r"`hardware\.dtype=bfloat16` needs compute capability 8\.0, got 7\.5"):
        resolved("hardware=t4", "hardware.dtype=bfloat16")


@pytest.mark.parametrize("preset", ["a100", "h100", "h200"])
def test_the_large_cards_compute_in_bfloat16_with_flash_attention_where_it_is_installed(
    machine: Any, preset: str, tmp_path: Any
) -> None:
    machine(CARDS[preset], "flash_attn")
    found = resolved(f"hardware={preset}")
    assert (found.dtype, found.attention, found.quantization) == ("bfloat16", "flash_attention_2", "none")
    arguments = common_arguments(config_of(f"hardware={preset}"), found, tmp_path, by_tokens=False)
    assert (arguments["fp16"], arguments["bf16"]) == (False, True)
    machine(CARDS[preset])
    found = resolved(f"hardware={preset}")
    assert found.attention == "sdpa"
    assert found.reasons[-1].startswith("attention=sdpa: the flash-attn package is not installed; `pip install")


@pytest.mark.parametrize(("preset", "card"), [("t4", (7, 0)), ("a100", (7, 5)), ("h100", (8, 0)), ("h200", (8, 9))])
def test_a_card_below_the_preset_is_refused(machine: Any, preset: str, card: tuple[int, int]) -> None:
    machine(card, "bitsandbytes")
    needed, got = (r"\.".join(map(str, capability)) for capability in (CARDS[preset], card))
    with pytest.raises(UserError, match=rf"`hardware={preset}` needs compute capability {needed}, got {got} \(a card"):
        resolved(f"hardware={preset}")
    machine(None)
    with pytest.raises(UserError, match=rf"`hardware={preset}` needs a CUDA GPU.*Use hardware=cpu"):
        resolved(f"hardware={preset}")


@pytest.mark.parametrize(
    ("override", "package"),
    [
        ("hardware.quantization=nf4", "bitsandbytes"), ("hardware.optimizer=paged_adamw_8bit", "bitsandbytes"),
        ("hardware.optimizer=adamw_8bit", "bitsandbytes"), ("hardware.attention=flash_attention_2", "flash_attn"),
    ],
)  # fmt: skip
def test_a_package_that_is_missing_is_one_error(machine: Any, override: str, package: str) -> None:
    machine((8, 0))
    config = config_of("hardware=auto", override)

    def checked() -> None:
        check_optimizer(config.hardware)
        resolve(config)

    with pytest.raises(UserError, match=rf"`{override}` needs the package {package.replace('_', '-')}.*pip install"):
        checked()
    machine((8, 0), package)
    checked()
