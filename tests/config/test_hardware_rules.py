"""Rules on weights that are spread over processes, each with an override that breaks it."""

from collections.abc import Callable

import pytest

RULES = [
    (1, [], "`hardware.sharding` fsdp spreads the weights over several processes, and this is one."),
    (2, ["hardware.quantization=nf4"], "`hardware.sharding` fsdp cannot shard `hardware.quantization` nf4"),
    (2, ["adapter=full", "hardware.optimizer=adamw_8bit"], "`hardware.optimizer` must be one of adamw_torch | "),
    (2, ["adapter=full", "hardware=t4", "hardware.quantization=none", "hardware.optimizer=sgd"], "`hardware.dtype` "),
    (2, ["trainer=dpo", "adapter=full", "trainer.precompute_reference=false"], "`trainer.precompute_reference` must"),
]


@pytest.mark.parametrize(("processes", "overrides", "expected"), RULES, ids=[rule[2][:40] for rule in RULES])
def test_what_cannot_be_sharded(
    problems: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    processes: int,
    overrides: list[str],
    expected: str,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    (found,) = problems("hardware.sharding=fsdp", *overrides)
    assert found.startswith(expected)


def test_what_can_be_sharded(problems: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert problems("hardware.sharding=fsdp", "hardware.optimizer=adamw_8bit") == []
    assert problems("hardware.sharding=fsdp", "adapter=full", "trainer=dpo") == []
    assert problems("hardware.sharding=none", "adapter=full", "hardware.optimizer=adamw_8bit") == []
