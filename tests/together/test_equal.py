"""Runs that train together end as they would alone: adapters and every logged number, in float32."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from safetensors.torch import load_file

from edu_align.planning.plan import make_plan
from edu_align.together import run_together
from edu_align.together.grouping import groups_of

UNMEASURED = "evaluation.enabled=false"
SFT = [
    ["trainer.max_steps=2"],
    ["trainer.learning_rate=3e-3", "trainer.lr_scheduler=cosine", "trainer.warmup_ratio=0.5"],
    ["adapter.rank=2", "adapter.alpha=2", "trainer.weight_decay=0.1", "trainer.max_grad_norm=0.1"],
]
DPO = [
    ["trainer.beta=0.1"],
    ["trainer.beta=0.5", "trainer.learning_rate=4e-3", "adapter.rank=2"],
    ["trainer.loss_type=hinge", "trainer.lr_scheduler=linear", "trainer.max_steps=2"],
    ["trainer.loss_type=robust", "trainer.label_smoothing=0.2", "adapter.target_modules=[q_proj,down_proj]"],
]
SMALL = [["trainer.beta=0.02"], ["trainer.beta=0.03", "trainer.learning_rate=4e-3", "adapter.rank=2"]]  # see `near`
LIVE = "trainer.precompute_reference=false"
CASES = {
    "sft": (["trainer=sft", UNMEASURED], SFT),
    "sft, packing off": (["trainer=sft", UNMEASURED, "hardware.packing=off"], SFT),
    "dpo, measured": (["trainer=dpo"], DPO),
    "dpo, live reference": (["trainer=dpo", UNMEASURED, LIVE], DPO),
    "dpo, dense masks": (["trainer=dpo", UNMEASURED, LIVE, "hardware.packing_backend=dense"], SMALL),
    "dpo, packing off": (
        ["trainer=dpo", UNMEASURED, LIVE, "hardware.packing=off", "hardware.per_device_batch_size=2"],
        DPO,
    ),
    "one live, one precomputed": (["trainer=dpo", UNMEASURED], [[LIVE], ["trainer.precompute_reference=true"]]),
    "gradient checkpointing": (
        ["trainer=dpo", UNMEASURED, LIVE, "hardware.gradient_checkpointing=true"],
        DPO[:2],
    ),
    "one measures in between": (["trainer=dpo"], [["trainer.eval_steps=1"], ["trainer.beta=0.3"]]),
}
TIMES = ("runtime", "per_second", "total_flos", "peak_memory")


def both_ways(tiny: Callable[..., Any], name: str, shared: list[str], each: list[list[str]]) -> list[tuple[Any, Any]]:
    """(together, alone) for every config."""
    from edu_align.run import run

    configs = {
        way: [tiny(*shared, *words, f"run_name={name}-{way}-{i}") for i, words in enumerate(each)]
        for way in ("together", "alone")
    }
    assert [group.indices for group in groups_of(configs["together"])] == [tuple(range(len(each)))]
    together = run_together(configs["together"])
    for outcome in together:
        if isinstance(outcome, Exception):
            raise outcome
    return list(zip(together, [run(config) for config in configs["alone"]], strict=True))


def lines(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if not any(word in key for word in TIMES)} for row in rows]


def near(numbers: dict[str, float], folder: Path) -> dict[str, Any]:
    """What equals `numbers` within 1e-5. Rewards are beta times differences of summed log-probabilities, and a float32
    near 1,000 has steps of 6e-5 to 1.2e-4: each of the two sides may be one step of them off, where that is more.
    """
    largest = max((abs(value) for key, value in numbers.items() if "logps/" in key), default=0.0)
    sides = 2 * float(np.spacing(np.float32(largest)))
    reward = OmegaConf.load(folder / "config.yaml").trainer.get("beta", 0.0) * sides
    return {
        key: pytest.approx(value, rel=1e-5, abs=max(1e-5, reward if "rewards/" in key else 0.0))
        for key, value in numbers.items()
    }


def same(one: Any, other: Any) -> None:
    first, second = (load_file(run.path / "adapter" / "adapter_model.safetensors") for run in (one, other))
    assert first.keys() == second.keys()
    assert max(value.abs().max().item() for name, value in second.items() if "lora_B" in name) > 1e-4
    for name, value in second.items():
        assert (first[name] - value).abs().max().item() < 1e-5, name
    assert lines(one.path) == [near(line, other.path) for line in lines(other.path)]
    assert one.record["state"] == other.record["state"] == "finished"
    metrics = {k: v for k, v in other.record["metrics"].items() if not any(word in k for word in TIMES)}
    assert {key: one.record["metrics"][key] for key in metrics} == near(metrics, other.path)


@pytest.mark.parametrize("name", CASES)
def test_a_run_together_is_the_run_alone(name: str, tiny: Callable[..., Any]) -> None:
    shared, each = CASES[name]
    pairs = both_ways(tiny, name.replace(" ", "-").replace(",", ""), shared, each)
    for one, other in pairs:
        same(one, other)
        assert one.record["trained_beside"] == len(each) - 1
        assert "trained_beside" not in other.record
        names = {path.name for path in other.path.iterdir()}
        assert {path.name for path in one.path.iterdir()} == names


def test_a_second_stage_keeps_the_first_one_as_reference(tiny: Callable[..., Any], runs: Callable[[str], Any]) -> None:
    """float32 holds log-probabilities of -1,300 to 1e-4, and rewards are beta times that: hence a small beta."""
    runs("sft")
    shared = ["trainer=dpo", "init_from=sft", LIVE]
    for one, other in both_ways(tiny, "second", shared, [["trainer.beta=0.1"], ["trainer.beta=0.05"]]):
        same(one, other)


@pytest.mark.slow
def test_smaller_passes_for_less_memory_train_the_same(
    tiny: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    """The budget holds one run's passes and not four runs'."""
    shared = ["trainer=dpo", UNMEASURED, LIVE, "hardware.per_device_batch_size=1"]
    alone = make_plan(OmegaConf.to_object(tiny(*shared))).peak  # type: ignore[arg-type]
    shared.append(f"hardware.memory_gb={alone / 2**30 + 0.001}")
    pairs = both_ways(tiny, "small", shared, DPO)
    assert "each pass 1/4 of what one run would take" in capfd.readouterr().out
    for one, other in pairs:
        assert one.record["metrics"]["train/loss"] == pytest.approx(other.record["metrics"]["train/loss"], rel=1e-5)
        first, second = (load_file(run.path / "adapter" / "adapter_model.safetensors") for run in (one, other))
        assert all((first[key] - second[key]).abs().max().item() < 1e-5 for key in second)
