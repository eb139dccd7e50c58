"""A plan packs what training packs."""

from pathlib import Path
from typing import Any

import pytest

from edu_align.models.tokenizer import byte_tokenizer
from edu_align.packing.decoder import install_packing
from edu_align.planning.packed import unpacked_reason
from edu_align.planning.plan import make_plan
from tests.composing import config_of
from tests.networks import network, save_network


@pytest.mark.parametrize(("length", "packed"), [(4096, True), (4097, False)])
def test_phi_4_mini_is_planned_packed_up_to_the_length_that_changes_nothing(length: int, packed: bool) -> None:
    made = make_plan(config_of("model=phi4_mini", "trainer=dpo", "hardware=t4", f"trainer.max_length={length}"))
    assert ("not packed: rotary positions of type longrope" in made.describe()) != packed
    off = ["hardware.packing=off", "trainer.max_length=4096"]
    unpacked = make_plan(config_of("model=phi4_mini", "trainer=dpo", "hardware=t4", *off))
    assert (made.work.tokens > unpacked.work.tokens) == packed  # a packed pass takes as many examples as fit


@pytest.mark.parametrize("length", [64, 65])
@pytest.mark.parametrize("name", ["phi3 longrope", "llama"])
def test_plan_and_training_say_the_same(name: str, length: int, tmp_path: Path, capsys: Any) -> None:
    folder = save_network(name, tmp_path / "it", byte_tokenizer())
    words = ["trainer=dpo", "hardware=cpu", f"trainer.max_length={length}"]
    planned = make_plan(config_of(f"model.path={folder}", *words)).config
    reason = unpacked_reason(planned)
    assert (reason is None) == (name == "llama" or length == 64)
    install_packing("auto", network(name), "auto", length)
    said = capsys.readouterr().out
    assert ("packing is on" in said) if reason is None else (said == f"edu_align: packing is off: {reason}\n")


@pytest.mark.parametrize(("key", "said"), [("packing=off", "hardware.packing=off"), ("attention=eager", "'eager'")])
def test_keys_that_turn_packing_off_are_named(key: str, said: str) -> None:
    config = config_of("model=smollm2", "trainer=dpo", "hardware=cpu", f"hardware.{key}")
    assert said in str(unpacked_reason(config))
    assert f"not packed: {unpacked_reason(config)}" in make_plan(config).describe()
