"""Each hardware preset on the cards that it is for and on others, with torch.cuda replaced at its boundary."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from edu_align.config.load import compose
from edu_align.errors import UserError
from edu_align.models import device as module
from edu_align.models.device import Device, check_optimizer, resolve
from edu_align.trainers.arguments import common_arguments

CARDS = {"t4": (7, 5), "a100": (8, 0), "h100": (9, 0), "h200": (9, 0)}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`machine((7, 5), "bitsandbytes")`: a card of that compute capability, and only these packages."""

    def build(capability: tuple[int, int], *packages: str) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "a card")
        monkeypatch.setattr(module, "find_spec", lambda name: object() if name in packages else None)

    return build


def config_of(*overrides: str) -> Any:
    from omegaconf import OmegaConf

    return OmegaConf.to_object(compose(list(overrides)))


def resolved(*overrides: str) -> Device:
    return resolve(config_of(*overrides).hardware)


def test_a_t4_computes_in_float16_on_4_bits(machine: Callable[..., None], tmp_path: Any) -> None:
    machine(CARDS["t4"], "bitsandbytes")
    config = config_of("hardware=t4")
    found = resolve(config.hardware)
    assert found == Device("cuda", "float16", "sdpa", "nf4", ())
    arguments = common_arguments(config, found, tmp_path, by_tokens=False)
    assert (arguments["fp16"], arguments["bf16"], arguments["optim"]) == (True, False, "paged_adamw_8bit")
    assert (config.hardware.double_quantization, config.hardware.gradient_checkpointing) == (True, True)


@pytest.mark.parametrize("preset", ["a100", "h100", "h200"])
def test_the_large_cards_compute_in_bfloat16_with_flash_attention_where_it_is_installed(
    machine: Callable[..., None], preset: str, tmp_path: Any
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
def test_a_card_below_the_preset_is_refused(machine: Callable[..., None], preset: str, card: tuple[int, int]) -> None:
    machine(card, "bitsandbytes")
    needed = ".".join(map(str, CARDS[preset]))
    with pytest.raises(UserError, match=rf"`hardware={preset}` needs compute capability {needed}, got {card[0]}\."):
        resolved(f"hardware={preset}")


def test_auto_says_what_it_chose_and_why(machine: Callable[..., None]) -> None:
    machine((7, 5))
    found = resolved("hardware=auto", "hardware.attention=auto")
    assert (found.device, found.dtype, found.attention) == ("cuda", "float16", "sdpa")
    assert found.reasons == (
        "device=cuda: found a card",
        "dtype=float16: compute capability 7.5 has no native bfloat16",
        "attention=sdpa: FlashAttention-2 needs compute capability 8.0, got 7.5",
    )
    machine((9, 0), "flash_attn")
    found = resolved("hardware=auto", "hardware.attention=auto")
    assert (found.dtype, found.attention) == ("bfloat16", "flash_attention_2")
    assert len(found.reasons) == 3


@pytest.mark.parametrize(
    ("override", "package"),
    [
        ("hardware.quantization=nf4", "bitsandbytes"), ("hardware.optimizer=paged_adamw_8bit", "bitsandbytes"),
        ("hardware.optimizer=adamw_8bit", "bitsandbytes"), ("hardware.attention=flash_attention_2", "flash_attn"),
    ],
)  # fmt: skip
def test_a_package_that_is_missing_is_one_error(machine: Callable[..., None], override: str, package: str) -> None:
    machine((8, 0))
    hardware = config_of("hardware=auto", override).hardware

    def checked() -> None:
        check_optimizer(hardware)
        resolve(hardware)

    with pytest.raises(UserError, match=rf"`{override}` needs the package {package.replace('_', '-')}.*pip install"):
        checked()
    machine((8, 0), package)
    checked()
