"""Which configs train together, and the reasons of the others."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from edu_align.config.schema import DPOTrainerConfig, SFTTrainerConfig
from edu_align.together.grouping import across_pairs, groups_of

DPO = ["trainer=dpo"]
SAME = [
    ["trainer.beta=0.3"], ["trainer.learning_rate=1e-4"], ["trainer.lr_scheduler=cosine"], ["trainer.warmup_ratio=0.5"],
    ["trainer.weight_decay=0.1"], ["trainer.loss_type=ipo"], ["trainer.label_smoothing=0.1"], ["adapter.rank=16"],
    ["adapter.alpha=4"], ["trainer.epochs=2"], ["trainer.max_steps=2"], ["run_name=x"], ["objective=train/steps"],
    ["hardware.optimizer=adafactor"], ["+trainer.args.adam_beta2=0.95"],
]  # fmt: skip
OTHER = [
    ["seed=1"], ["trainer.batch_size=8"], ["trainer.max_length=64"], ["dataset.size=30"], ["dataset.margin=1"],
    ["hardware.packing=off"], ["hardware.per_device_batch_size=2"], ["trainer.batching=pairs"],
    ["evaluation.max_groups=3"], ["dataset.max_train_records=8"], ["+trainer.args.precompute_ref_batch_size=2"],
]  # fmt: skip


@pytest.mark.parametrize("words", SAME, ids=lambda words: words[0])
def test_what_a_run_has_for_itself_may_differ(words: list[str], tiny: Callable[..., Any]) -> None:
    (group,) = groups_of([tiny(*DPO), tiny(*DPO, *words)])
    assert group.indices == (0, 1)
    assert group.reason == ""


@pytest.mark.parametrize("words", OTHER, ids=lambda words: words[0])
def test_what_is_shared_may_not_and_is_named(words: list[str], tiny: Callable[..., Any]) -> None:
    groups = groups_of([tiny(*DPO), tiny(*DPO, *words)])
    key = words[0].partition("=")[0].removeprefix("+")
    assert [(group.indices, group.reason) for group in groups] == [
        ((i,), f"no other job agrees with it in {key}") for i in (0, 1)
    ]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["adapter.dropout=0.1"], "adapter.dropout=0.1"),
        (["adapter=full"], "adapter=full"),
        (["+trainer.args.torch_compile=true"], "trainer.args.torch_compile"),
        (["preview=2"], "preview"),
    ],
    ids=lambda value: str(value[0]),
)
def test_a_run_that_cannot_share_its_base_says_why(words: list[str], reason: str, tiny: Callable[..., Any]) -> None:
    together, alone = groups_of([tiny(*DPO), tiny(*DPO, "trainer.beta=1"), tiny(*DPO, *words)])
    assert together.indices == (0, 1)
    assert alone.indices == (2,)
    assert reason in alone.reason


def test_groups_are_no_larger_than_asked_for_and_keep_their_order(tiny: Callable[..., Any]) -> None:
    sft = tiny("trainer=sft")
    cfgs = [tiny(*DPO, "trainer.beta=0.1"), sft, *(tiny(*DPO, f"trainer.beta={n}") for n in (1, 2, 3, 4))]
    groups = groups_of(cfgs, most=2)
    assert [group.indices for group in groups] == [(0, 2), (1,), (3, 4), (5,)]
    assert groups[3].reason == "its group is full (sweep.concurrent=2)"
    assert "trainer.algorithm" in groups[1].reason


def test_a_data_order_of_another_process_count_trains_alone(
    tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert all("several processes" in group.reason for group in groups_of([tiny(*DPO), tiny(*DPO)]))


def test_grouping_imports_nothing_heavy() -> None:
    code = "import sys, edu_align.together.grouping, edu_align.together.place; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_settings_that_read_all_pairs_of_a_pass() -> None:
    assert across_pairs(SFTTrainerConfig()) == ""
    assert across_pairs(DPOTrainerConfig(loss_type="sigmoid", sft_weight=0.0)) == ""
    assert across_pairs(DPOTrainerConfig(loss_type="aot", sft_weight=0.5)) == "trainer.loss_type=aot"
    assert across_pairs(DPOTrainerConfig(loss_type="sigmoid", sft_weight=0.5)) == "trainer.sft_weight=0.5"
