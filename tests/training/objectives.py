"""Drawn configurations of a loss, trained in a few steps on random token ids: what a step's cut must not change."""

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from transformers import PrinterCallback, TrainerCallback

from edu_align.config.losses import UNSMOOTHED
from edu_align.config.rules import problems
from edu_align.config.schema import DPO_LOSSES, REFERENCE_FREE_LOSSES
from edu_align.config.trl_options import PASSED
from edu_align.models.device import Device
from edu_align.packing.decoder import install_packing
from edu_align.training.dpo import build_dpo
from edu_align.training.rows import Rows
from edu_align.training.sft import build_sft
from edu_align.utils.errors import UserError
from edu_align.utils.memory import freeze_imported_objects

CPU = Device("cpu", "float32", "sdpa", "none", ())
TRL_LOSSES = [loss for loss in DPO_LOSSES if loss not in REFERENCE_FREE_LOSSES]
DIVERGENCES = ("reverse_kl", "forward_kl", "js_divergence", "alpha_divergence")
COUNTS = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos")


@dataclass(frozen=True)
class Drawn:
    """A configuration but for its cut: `values` of keys, and the number of `rows` that are trained on."""

    trainer: str
    values: dict[str, Any]
    rows: int
    batch: int
    seed: int = 0


@dataclass
class Trained:
    """`update`: what training added to each weight; `lines`: what was logged of each step."""

    update: torch.Tensor
    lines: list[dict[str, float]] = field(default_factory=list)


def draw(number: int) -> tuple[Drawn, int]:
    """The configuration of this number, the same every time, and the device batch that cuts its steps."""
    dice = random.Random(number)
    batch = dice.choice([2, 4, 6, 8, 12, 16])
    values: dict[str, Any] = {
        "hardware.packing": dice.choice(["on", "off"]),
        "trainer.epochs": dice.choice([1, 2]),
        "trainer.max_grad_norm": dice.choice([4.0, 100.0]),
        "trainer.max_length": dice.choice([16, 48]),
    }
    trainer = dice.choice(["sft", "dpo", "dpo", "dpo"])
    if trainer == "dpo":
        some = {
            "ld_alpha": dice.choice([0.0, 0.5]), "use_weighting": True, "discopop_tau": 0.2,
            "f_divergence_type": dice.choice(DIVERGENCES),
        }  # fmt: skip
        loss = dice.choice(TRL_LOSSES)
        needs = {name: {need.key: need.holds for need in PASSED["DPOConfig"][name].needs} for name in sorted(some)}
        fitting = [name for name, need in needs.items() if loss in need.get("trainer.loss_type", (loss,))]
        values |= {
            "trainer.loss_type": loss,
            "trainer.beta": dice.choice([0.1, 0.5]),
            "trainer.sft_weight": dice.choice([0.0, 0.0, 0.3, 1.0]),
            "trainer.label_smoothing": dice.choice([0.0, 0.0 if loss in UNSMOOTHED else 0.1]),
            "trainer.precompute_reference": dice.choice([True, False]),
            "trainer.args": {
                name: some[name] for name in dice.sample(fitting, min(len(fitting), dice.choice([0, 0, 1, 2])))
            },
        }
    sizes = [size for size in range(1, batch) if batch % size == 0]
    return Drawn(trainer, values, dice.randint(1, 2 * batch + 1), batch, number), dice.choice(sizes)


def rows_of(drawn: Drawn, longest: int) -> Rows:
    """Token ids whose replies have one token to many; pairs of a prompt are neighbours."""
    dice = random.Random(drawn.seed)

    def some(least: int, most: int) -> list[int]:
        return [dice.randint(5, 259) for _ in range(dice.randint(least, most))]

    rows: list[dict[str, list[int]]] = []
    prompt: list[int] = []
    for number in range(drawn.rows):
        if number % 3 == 0:
            prompt = some(4, longest // 2)
        room = longest - len(prompt)
        one, two = some(1, room), some(1, room)
        if drawn.trainer == "dpo":
            row = {"prompt_ids": prompt, "chosen_ids": one, "rejected_prompt_ids": prompt, "rejected_ids": two}
        else:
            row = {"input_ids": prompt + one, "labels": [-100] * len(prompt) + one}
        rows.append(row)
    biased = drawn.values.get("trainer.debias", "none") != "none"
    bias = [dice.uniform(0.2, 2.0) for _ in rows] if biased else None
    return Rows(rows, [str(i) for i in range(len(rows))], len(rows), [], bias=bias)


class Lines(TrainerCallback):
    def __init__(self, lines: list[dict[str, float]]) -> None:
        self.lines = lines

    def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
        self.lines.append({name: value for name, value in logs.items() if name not in COUNTS})


class Training:
    """Trains what is drawn, each from the same random model. `tiny`, `random_model`, `tokenizer`: the fixtures."""

    wide = False  # whether in float64, see `in_float64`

    def __init__(self, tiny: Any, random_model: Any, tokenizer: Any, folder: Path) -> None:
        self.configs = {name: tiny(f"trainer={name}", "adapter=full") for name in ("sft", "dpo")}
        self.model, self.tokenizer, self.folder = random_model(), tokenizer, folder
        freeze_imported_objects()  # transformers collects garbage at each start

    def config(self, drawn: Drawn, device_batch: int) -> Any:
        """Errors: `UserError`, the first rule that the configuration breaks.

        SGD's update is a multiple of the gradient. Adam's is at first one of its sign, and a weight whose gradient is a
        rounding error moves as far as others.
        """
        cfg = copy.deepcopy(self.configs[drawn.trainer])
        OmegaConf.set_readonly(cfg, False)
        cut = {"trainer.batch_size": drawn.batch, "hardware.per_device_batch_size": device_batch}
        cut |= {"hardware.optimizer": "sgd", "trainer.learning_rate": 0.03, "trainer.max_steps": -1}
        for key, value in {**cut, **drawn.values}.items():
            OmegaConf.update(cfg, key, value, force_add=True)
        for problem in problems(cfg):
            raise UserError(problem)
        return OmegaConf.to_object(cfg)

    def of(self, drawn: Drawn, device_batch: int) -> Trained:
        config, model = self.config(drawn, device_batch), copy.deepcopy(self.model)
        model = model.double() if self.wide else model
        install_packing(config.hardware.packing, model)
        build = build_dpo if drawn.trainer == "dpo" else build_sft
        rows = rows_of(drawn, config.trainer.max_length)
        trainer = build(config, model, self.tokenizer, rows, Rows([], [], 0, []), CPU, self.folder)
        trainer.remove_callback(PrinterCallback)
        found = Trained(flat(self.model))
        trainer.add_callback(Lines(found.lines))
        trainer.train()
        found.update = flat(trainer.model) - found.update
        return found


def flat(model: Any) -> torch.Tensor:
    return torch.cat([value.detach().flatten().double() for value in model.parameters()])


def difference(one: Trained, other: Trained) -> float:
    """Of two updates, relative to the size of the first."""
    return float((one.update - other.update).norm() / one.update.norm())


@contextmanager
def in_float64(training: Training) -> Iterator[None]:
    """Rounding is 1e-9 of float32's in here, so that what is left of a difference is one of the objective.

    The head and the norms of a network compute in float32 at least, in whatever dtype the weights are.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "wide", True)
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        patch.setattr(torch, "float32", torch.float64)
        yield


def compared(training: Training, drawn: Drawn, device_batch: int, tolerance: float) -> float:
    """The difference of the updates of two cuts: one pass a step, passes of `device_batch`. What is logged is equal.

    At first policy and reference give equal rewards, and which of two is larger is chance.
    """
    cut, whole = training.of(drawn, device_batch), training.of(drawn, drawn.batch)
    assert len(cut.lines) == len(whole.lines) >= 2
    for line, other in zip(cut.lines, whole.lines, strict=True):
        for name in line.keys() - ({"rewards/accuracies"} if line is cut.lines[0] else set()):
            assert line[name] == pytest.approx(other[name], rel=tolerance, abs=tolerance), (name, drawn, device_batch)
    return difference(whole, cut)
