"""The typed config as TRL's arguments."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.batch import accumulation, device_batch
from edu_align.models.device import Device
from edu_align.training.arguments import common_arguments


@pytest.mark.parametrize(("batch", "fits", "each", "steps"), [(16, 4, 4, 4), (4, 8, 4, 1), (8, 8, 8, 1), (3, 1, 1, 3)])
def test_accumulation_makes_the_effective_batch(
    typed: Callable[..., Any], batch: int, fits: int, each: int, steps: int
) -> None:
    config = typed("trainer=sft", f"trainer.batch_size={batch}", f"hardware.per_device_batch_size={fits}")
    assert (device_batch(config, False), accumulation(config, False)) == (each, steps)
    assert device_batch(config, False) * accumulation(config, False) == batch


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_mixed_precision_only_with_16_bit_weights(typed: Callable[..., Any], dtype: str) -> None:
    arguments = common_arguments(typed("trainer=sft"), Device("cuda", dtype, "sdpa", "none", ()), Path("run"), False)
    assert arguments["bf16"] == (dtype == "bfloat16")
    assert arguments["fp16"] == (dtype == "float16")
    assert arguments["use_cpu"] is False
    assert arguments["report_to"] == []


def test_own_arguments_of_trl_pass_through(typed: Callable[..., Any]) -> None:
    config = typed("trainer=sft", "+trainer.args.neftune_noise_alpha=5")
    arguments = common_arguments(config, Device("cpu", "float32", "sdpa", "none", ()), Path("run"), False)
    assert arguments["neftune_noise_alpha"] == 5
    assert (arguments["use_cpu"], arguments["max_steps"]) == (True, 3)
