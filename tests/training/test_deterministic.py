"""A run on a CPU is trained with sums in one order, and leaves torch as it was."""

from typing import Any

import pytest
import torch

from edu_align.training import callbacks
from edu_align.training.deterministic import sums_in_order


def test_a_cpu_trains_with_sums_in_one_order(go: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    original = callbacks.Recorder.on_step_end

    def looked(self: Any, *args: Any, **rest: Any) -> None:
        seen.append(torch.are_deterministic_algorithms_enabled())
        original(self, *args, **rest)

    monkeypatch.setattr(callbacks.Recorder, "on_step_end", looked)
    go("trainer=dpo", "trainer.max_steps=2", "evaluation.enabled=false")
    assert seen == [True, True]
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_gpu_and_a_choice_of_the_users_are_left_alone() -> None:
    with sums_in_order("cuda"):
        assert not torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        with sums_in_order("cpu"):
            assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_two_threads_add_up_what_falls_on_one_row_in_order() -> None:
    """4,000 rows of a gradient on 20 rows of the weights: bit for bit the sum in the order of the index."""
    generator = torch.Generator().manual_seed(0)
    index, gradient = torch.randint(20, (4000,), generator=generator), torch.randn(4000, 64, generator=generator)
    weight = torch.zeros(20, 64, requires_grad=True)
    with sums_in_order("cpu"):
        weight[index].backward(gradient)
    wanted = torch.zeros(20, 64)
    for row, place in zip(gradient, index, strict=True):
        wanted[place] += row
    assert weight.grad is not None
    assert torch.equal(weight.grad, wanted)
