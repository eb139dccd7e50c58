"""Weights spread over two gloo processes: losses, measurements and saved weights are those of one process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from edu_align.config.compose import compose
from edu_align.models.device import Device
from edu_align.models.sharding import check_sharding
from edu_align.planning.memory import memory_parts
from edu_align.planning.parameters import linear_parameters, parameters
from edu_align.planning.plan import make_plan
from edu_align.utils.errors import UserError
from tests.scenarios.test_processes import check_saved, compare, forked, launched

# Evaluation and samples on the way leave weights gathered, which an optimizer must not see.
OPTIONS = [
    "trainer.eval_steps=2", "evaluation.samples_steps=1", "evaluation.max_groups=4", "evaluation.samples=2",
    "evaluation.max_new_tokens=4", "evaluation.bootstrap_samples=100", "hardware.per_device_batch_size=2",
]  # fmt: skip
LARGE = ["trainer=sft", "model=zephyr", "hardware=a100", "dataset.size=40", "adapter=full"]
HARD = ["hardware.per_device_batch_size=1", "hardware.gradient_checkpointing=true"]  # two forward passes a step
CASES = [
    pytest.param("sft", "lora", [], marks=pytest.mark.slow),
    pytest.param("sft", "full", ["trainer.average_last=0.5"], marks=pytest.mark.slow),
    pytest.param("sft", "full", [*HARD, "model.architecture.tie_word_embeddings=false"], marks=pytest.mark.slow),
    # A reward is beta times a difference of log-probabilities of hundreds; a float32 there has steps of 3e-5.
    pytest.param("dpo", "lora", [*HARD, "trainer.beta=0.02"]),
    pytest.param("dpo", "full", HARD, marks=pytest.mark.slow),
    pytest.param("dpo", "lora", [*HARD, "trainer.beta=0.02", "hardware.quantization=nf4"], marks=pytest.mark.slow),
]


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A composed config as one of `processes` sees it."""

    def build(processes: int, *overrides: str) -> Any:
        monkeypatch.setenv("WORLD_SIZE", str(processes))
        return OmegaConf.to_object(compose(list(overrides)))

    return build


@pytest.mark.parametrize(("trainer", "adapter", "more"), CASES)
def test_two_sharded_processes_train_as_one(
    trainer: str, adapter: str, more: list[str], train: Callable[..., Any], tmp_path: Path
) -> None:
    options = [f"trainer={trainer}", *OPTIONS, *more, f"outputs_root={tmp_path}"]
    options += [f"adapter={adapter}"] if adapter == "full" else []
    one = train(*options, "run_name=whole").path
    for done in forked(2, *options, "hardware.sharding=fsdp", "run_name=sharded"):
        assert done.returncode == 0, done.stderr[-3000:]
    two = tmp_path / "runs/sharded"
    assert compare(one, two) >= 8
    records = [json.loads((folder / "run.json").read_text()) for folder in (one, two)]
    measured = {key for key in records[0]["metrics"] if key.startswith(("before/", "eval/pair", "eval/human"))}
    assert len(measured) >= 2
    for key in measured:
        assert records[1]["metrics"][key] == pytest.approx(records[0]["metrics"][key], rel=1e-4), key
    replies = [[json.loads(row)["reply"] for row in (f / "samples.jsonl").read_text().splitlines()] for f in (one, two)]
    assert replies[0] == replies[1]
    assert sorted(path.name for path in two.iterdir()) == sorted(path.name for path in one.iterdir())
    saved = "adapter/adapter_model.safetensors" if adapter == "lora" else "model/model.safetensors"
    check_saved(one / saved, two / saved)
    if adapter == "lora":
        assert json.loads((two / "adapter/adapter_config.json").read_text())["base_model_name_or_path"] in (None, "")


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["lora", "full"])
def test_a_second_stage_measures_its_base_model(adapter: str, train: Callable[..., Any], tmp_path: Path) -> None:
    first = ["trainer=sft", f"outputs_root={tmp_path}", "run_name=first"]
    options = ["trainer=dpo", *OPTIONS, *HARD, "trainer.beta=0.02", "init_from=first", f"outputs_root={tmp_path}"]
    more = ["adapter=full"] if adapter == "full" else []
    train(*first, *more)
    one = train(*options, *more, "run_name=whole").record["metrics"]
    launched(2, *options, *more, "hardware.sharding=fsdp", "run_name=sharded")
    two = json.loads((tmp_path / "runs/sharded/run.json").read_text())["metrics"]
    measured = [key for key in one if key.startswith("base/") or key.endswith("_from_base")]
    assert len(measured) >= 8
    assert {key: two[key] for key in measured} == {key: pytest.approx(one[key], rel=1e-4) for key in measured}


@pytest.mark.slow
def test_a_sharded_run_is_measured_again_in_one_process(tmp_path: Path) -> None:
    from edu_align.evaluate import evaluate

    options = ["trainer=sft", *OPTIONS, "trainer.max_steps=1", "trainer.eval_steps=null"]
    options += ["evaluation.samples_steps=null", f"outputs_root={tmp_path}", "hardware.dtype=bfloat16"]
    launched(2, *options, "adapter=full", "hardware.sharding=fsdp", "run_name=sharded")
    kept = json.loads((tmp_path / "runs/sharded/evaluation.json").read_text())
    rows = evaluate("sharded", {"evaluation.metrics": "[human_turn_nll]"}, tmp_path)
    again = {row["label"]: row["value"] for row in rows}
    for label, when in (("base", "before"), ("SFT", "after")):
        assert again[label] == pytest.approx(kept[when]["human_turn_nll"]["value"], rel=1e-3)


def test_what_only_the_machine_tells(config: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    made = config(2, "hardware.sharding=fsdp", "adapter=full")
    with pytest.raises(UserError, match=r"cannot train all weights in float16.*hardware\.dtype=auto"):
        check_sharding(made, Device("cuda", "float16", "sdpa", "none", (), "fsdp"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(UserError, match="would shard over the GPU"):
        check_sharding(made, Device("cpu", "float32", "sdpa", "none", (), "fsdp"))
    check_sharding(made, Device("cpu", "float32", "sdpa", "none", ()))


def test_the_plan_divides_what_is_sharded(config: Callable[..., Any]) -> None:
    alone = make_plan(config(1, *LARGE))
    plan = make_plan(config(4, *LARGE, "hardware.sharding=fsdp"))
    shape = plan.config.model.architecture
    for part in ("weights", "gradients", "optimizer"):
        assert plan.parts[part] == pytest.approx(alone.parts[part] / 4)
    layer = linear_parameters(shape) / shape.num_hidden_layers
    head = shape.vocab_size * shape.hidden_size
    assert plan.parts["gathered layers"] == 2 * (2 * layer + head) + 4 * (layer + head)
    assert "of 4 that share the weights" in plan.describe()
    assert "gathered layers" not in alone.parts
    lora = memory_parts(config(4, *LARGE[:-1], "hardware.sharding=fsdp"), plan.machine, plan.work)
    assert lora["weights"] == parameters(shape) * 2 / 4
    assert lora["optimizer"] == lora["adapter"] * 2  # whole in every process


def test_4_bit_weights_are_read_whole_and_then_divided(config: Callable[..., Any]) -> None:
    words = [*LARGE[:-1], "hardware.quantization=nf4"]
    alone = make_plan(config(1, *words))
    plan = make_plan(config(8, *words, "hardware.sharding=fsdp"))
    assert plan.parts["weights"] == alone.parts["weights"] / 8
    assert plan.parts["quantization state"] == alone.parts["quantization state"]
    whole = sum(alone.parts[part] for part in ("weights", "quantization state", "framework"))
    assert sum(plan.parts.values()) >= whole
    assert "weights while they are read" not in alone.parts


def test_sharding_is_advised_where_several_processes_would_fit(config: Callable[..., Any]) -> None:
    advised = {change.override: change.fits for change in make_plan(config(8, *LARGE)).changes}
    assert advised["hardware.sharding=fsdp"]
    sharded = {change.override for change in make_plan(config(2, *LARGE, "hardware.sharding=fsdp")).changes}
    assert not sharded & {"hardware.sharding=fsdp", "hardware.optimizer=paged_adamw_8bit"}
    assert "hardware.sharding=fsdp" not in {change.override for change in make_plan(config(1, *LARGE)).changes}
