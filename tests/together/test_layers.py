"""The sliced layer in 16 bits: every slice is what the run alone computes."""

from types import SimpleNamespace

import torch

from edu_align.fused.lora import _LoraProduct
from edu_align.together.layers import SlicedLinear, Stack

WIDTH, OUT, ROWS = 48, 40, 64


def adapter(rank: int, seed: int) -> SimpleNamespace:
    torch.manual_seed(seed)
    first, second = torch.nn.Linear(WIDTH, rank, bias=False), torch.nn.Linear(rank, OUT, bias=False)
    return SimpleNamespace(lora_A={"default": first}, lora_B={"default": second}, scaling={"default": 0.01})


def test_slices_in_bfloat16_equal_their_runs_alone() -> None:
    torch.manual_seed(0)
    base = torch.nn.Linear(WIDTH, OUT).bfloat16().requires_grad_(False)
    layer = SlicedLinear(base, Stack(((0, "default"), (1, "default"), (2, None))))
    layer.adapters = {0: adapter(4, 1), 1: adapter(2, 2)}
    rows = torch.randn(3 * ROWS, WIDTH).bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(rows)
        expected = [
            _LoraProduct.apply(
                part, base.weight, base.bias, one.lora_A["default"].weight, one.lora_B["default"].weight, 0.01, one
            )
            for part, one in zip(rows.split(ROWS)[:2], layer.adapters.values(), strict=True)
        ]
        expected.append(base(rows.split(ROWS)[2]))
    assert torch.equal(found, torch.cat(expected))
    (ours,) = torch.autograd.grad(found.float().square().sum(), rows, retain_graph=True)
    (theirs,) = torch.autograd.grad(torch.cat(expected).float().square().sum(), rows)
    torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02)
    assert not torch.equal(found[2 * ROWS :], found[:ROWS])
