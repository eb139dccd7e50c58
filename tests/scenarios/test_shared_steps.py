"""Packed steps that several processes share by tokens: the numbers of one process, and memory that runs out in one."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from edu_align.utils.distributed import rank
from tests.scenarios.memory import holds
from tests.together import together
from torture.outcome import apart

# Of eleven rows the last step of an epoch has three, so that one of two processes has a pass of one and one of two.
WORDS = [
    "hardware.packing=on", "hardware.per_device_batch_size=1", "dataset.max_train_records=11",
    "evaluation.enabled=false", "trainer.max_steps=4", "run_name=it",
]  # fmt: skip
FSDP = "hardware.sharding=fsdp"
CASES = [
    pytest.param("dpo", "lora", ["trainer.sft_weight=1"], 2),
    pytest.param("dpo", "lora", [FSDP, "trainer.precompute_reference=true"], 2, marks=pytest.mark.slow),
    pytest.param("dpo", "lora", ["trainer.precompute_reference=false"], 4, marks=pytest.mark.slow),
    pytest.param("sft", "full", [FSDP], 2, marks=pytest.mark.slow),
    pytest.param("sft", "lora", [], 4, marks=pytest.mark.slow),
    pytest.param("sft", "full", [], 2, marks=pytest.mark.slow),
]  # fmt: skip


@pytest.mark.parametrize(("trainer", "adapter", "more", "processes"), CASES)
def test_a_step_is_shared_by_its_tokens(
    go: Callable[..., Any], tmp_path: Path, trainer: str, adapter: str, more: list[str], processes: int
) -> None:
    words = [*WORDS, f"trainer={trainer}", f"adapter={adapter}", *more]
    one = go(*(word for word in words if "sharding" not in word), root="one").path
    together(processes, lambda mesh: go(*words, root="shared"))
    two = tmp_path / "shared/runs/it"
    far = apart(two, one)
    assert far.loss < 1e-5
    assert far.weight < 1e-4
    asked = [json.loads((folder / "run.json").read_text())["metrics"] for folder in (one, two)]
    assert "train/shared_prefix_ratio" in asked[1], "the model is packed in several processes, too"
    counted = [[row["num_tokens"] for row in read(folder) if "num_tokens" in row] for folder in (one, two)]
    assert counted[0] == counted[1]
    assert len(counted[0]) >= 4


def test_the_reference_scores_the_rows_that_the_steps_read(go: Callable[..., Any], tmp_path: Path) -> None:
    """Two steps of four pairs, of the twelve that there are, are four in each process; and validation's, filled up."""
    words = [*WORDS, "trainer=dpo", "trainer.max_steps=2", "dataset.max_train_records=12"]
    one = go(*words, root="one").path

    def work(mesh: Any) -> None:
        from edu_align.training.dpo import DPOTrainer

        scored: list[int] = []
        original = DPOTrainer.compute_ref_log_probs

        def counted(trainer: Any, model: Any, inputs: Any) -> Any:
            scored.append(len(inputs["input_ids"]) // 2)
            return original(trainer, model, inputs)

        DPOTrainer.compute_ref_log_probs = counted
        go(*words, root="shared")
        assert scored == [4, 4]

    together(2, work)
    far = apart(tmp_path / "shared/runs/it", one)
    assert far.loss < 1e-5
    assert far.weight < 1e-4


def read(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("trainer", "way"), [("dpo", "backward"), pytest.param("sft", "forward", marks=pytest.mark.slow)]
)
def test_memory_that_runs_out_in_one_process_shrinks_all(
    go: Callable[..., Any], tmp_path: Path, trainer: str, way: str
) -> None:
    words = [*WORDS, f"trainer={trainer}", "hardware.per_device_batch_size=4"]
    whole = go(*words, root="whole").path

    def work(mesh: Any) -> None:
        with holds(tokens=900, way=way, after=2) if rank() == 1 else nullcontext() as failed:
            go(*words, root="short")
        assert failed or rank() == 0

    together(2, work)
    short = tmp_path / "short/runs/it"
    record = json.loads((short / "run.json").read_text())
    assert record["state"] == "finished"
    entry = record["out_of_memory"][-1]
    assert entry["unit"] == "tokens"
    assert entry["to"] <= entry["from"] // 2
    far = apart(short, whole)
    assert far.loss < 1e-5
    assert far.weight < 1e-4
