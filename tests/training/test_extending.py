"""A loss and a method are added from outside, by the entries that ARCHITECTURE.md names, and really train."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import trl
from safetensors.torch import load_file

from edu_align.config.schema import DPO_LOSSES, GROUP_SCHEMAS, DPOTrainerConfig
from edu_align.launch import launch
from edu_align.runs.folder import RunFolder
from edu_align.training import session
from edu_align.training.arguments import common_arguments
from edu_align.training.divergence import StopOnDivergence
from edu_align.training.losses import LOSSES, PairScores
from edu_align.training.micro_batches import MicroBatches, MicroBatching
from edu_align.training.resume import ResumableTraining
from edu_align.training.run import run
from edu_align.training.trl_dataset import as_dataset, attach_row_ids

WORDS = [
    "model=tiny", "hardware=cpu", "hardware.dtype=float32", "tracking=off", "dataset.size=40", "trainer.max_steps=2",
    "dataset.max_train_records=8", "trainer.batch_size=4", "evaluation.enabled=false", "trainer.logging_steps=1",
]  # fmt: skip


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunFolder]:
    """Train by the words of a command line, in this process."""

    def go(*words: str) -> RunFolder:
        done: list[Any] = []
        monkeypatch.setattr(sys, "argv", ["train", *words, *WORDS, f"outputs_root={tmp_path}"])
        launch(lambda config: done.append(run(config)))
        return done[0]

    return go


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(folder.path / "adapter" / "adapter_model.safetensors")


def as_sigmoid(pairs: PairScores) -> torch.Tensor:
    """TRL's `sigmoid`, written anew."""
    chosen, rejected = pairs.chosen_logps - pairs.ref_chosen_logps, pairs.rejected_logps - pairs.ref_rejected_logps
    return -torch.nn.functional.logsigmoid(pairs.beta * (chosen - rejected))


def short_replies(pairs: PairScores) -> torch.Tensor:
    """The mean log-probability of a token, whose gradient is another one."""
    return pairs.rejected_logps / pairs.rejected_tokens - pairs.chosen_logps / pairs.chosen_tokens


LIVE = pytest.param(True, id="live reference", marks=pytest.mark.slow)


@pytest.mark.parametrize("live", [LIVE, pytest.param(False, id="precomputed reference")])
def test_a_loss_of_our_own(trained: Any, monkeypatch: pytest.MonkeyPatch, live: bool) -> None:
    before = len(DPO_LOSSES)
    monkeypatch.setitem(LOSSES, "as_sigmoid", as_sigmoid)
    monkeypatch.setitem(LOSSES, "short_replies", short_replies)
    DPO_LOSSES.extend(("as_sigmoid", "short_replies"))
    try:
        _compare_losses(trained, live)
    finally:
        del DPO_LOSSES[before:]


def _compare_losses(trained: Any, live: bool) -> None:
    words = ["trainer=dpo", "trainer.sft_weight=0.1", f"trainer.precompute_reference={str(not live).lower()}"]
    theirs, ours, other = (
        trained(*words, f"trainer.loss_type={name}", f"run_name={name}")
        for name in ("sigmoid", "as_sigmoid", "short_replies")
    )
    for name, value in weights(theirs).items():
        assert torch.allclose(value, weights(ours)[name], atol=1e-6), name
    assert any(not torch.allclose(value, weights(other)[name], atol=1e-4) for name, value in weights(theirs).items())
    numbers = ["train/loss", "eval/loss", "eval/rewards/margins"]
    found = [[run.record["metrics"][name] for name in numbers] for run in (theirs, ours)]
    assert found[0] == pytest.approx(found[1], abs=1e-5)


@dataclass
class ChosenConfig(DPOTrainerConfig):
    """The keys of a made-up method: SFT on the chosen replies of pairs."""

    algorithm: str = "chosen"
    weight: float = 1.0


class ChosenTrainer(StopOnDivergence, ResumableTraining, MicroBatching, trl.SFTTrainer):
    """TRL's SFTTrainer, with the loss times `weight`."""

    def __init__(self, *args: Any, passes: MicroBatches, weight: float, **options: Any) -> None:
        self.passes, self.weight = passes, weight
        super().__init__(*args, **options)

    def compute_loss(self, *args: Any, **options: Any) -> Any:
        return super().compute_loss(*args, **options) * self.weight


def build_chosen(
    config: Any, model: Any, tokenizer: Any, train: Any, valid: Any, device: Any, folder: Path, cache: Any = None
) -> ChosenTrainer:
    pairs = [(row["prompt_ids"], row["chosen_ids"]) for row in train.rows]
    rows = [{"input_ids": prompt + ids, "labels": [-100] * len(prompt) + ids} for prompt, ids in pairs]
    made = ChosenTrainer(
        model=model,
        args=trl.SFTConfig(**common_arguments(config, device, folder, by_tokens=False)),
        train_dataset=as_dataset(rows, "train", folder),
        processing_class=tokenizer,
        passes=MicroBatches(config, by_tokens=False, sides=1),
        weight=config.trainer.weight,
    )
    attach_row_ids(made, train.ids)
    return made


def test_a_method_of_our_own(trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GROUP_SCHEMAS["trainer"], "chosen_schema", ChosenConfig)
    monkeypatch.setitem(session.METHODS, "chosen", build_chosen)
    (tmp_path / "conf" / "trainer").mkdir(parents=True)
    (tmp_path / "conf" / "trainer" / "chosen.yaml").write_text(
        "defaults: [dpo, chosen_schema, _self_]\nalgorithm: chosen\nweight: 0.5\n"
    )
    done = trained("--config-dir", str(tmp_path / "conf"), "trainer=chosen", "trainer.weight=0.25", "run_name=mine")
    assert done.record["state"] == "finished"
    assert done.record["trainer"] == "chosen"
    assert done.record["metrics"]["train/steps"] == 2
    losses = [line["loss"] for line in done.rows("metrics.jsonl") if "loss" in line]
    assert all(1.0 < loss < 2.0 for loss in losses), "a quarter of a random model's"
    assert weights(done)
