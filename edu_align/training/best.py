"""The best step of a training by its validations: its weights kept, and the training ended early.

    trainer.keep=best       the run ends with the weights of the validation whose `trainer.keep_metric` was best
    trainer.patience=3      the training ends after three validations in a row that were no better than the best before

Of equal values the first is the best; one that is no number is no better. The last step is validated too. The best
weights lie beside the model and are in every checkpoint: a training that goes on from one makes the same choice, and no
deletion of checkpoints can lose them.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from edu_align.config.batch import training_steps
from edu_align.config.metrics import direction_of
from edu_align.config.schema import BEST, Config, TrainerConfig
from edu_align.data.datamodule import TrainingData
from edu_align.models.trainable import is_saved, load_beside, save_beside, trainable_parameters
from edu_align.training.rows import Rows
from edu_align.utils.distributed import first, is_first
from edu_align.utils.errors import UserError
from edu_align.utils.files import write_json

WEIGHTS, CHOICE = "best.safetensors", "choice.json"  # in a checkpoint, the weights by the parameters' names


@dataclass
class Choice:
    """`value` at `step`: the best of `validations`; `since`: how many in a row were no better after it; `stopped`: the
    step at which that ended the training.
    """

    keep: str
    metric: str
    better: str  # smaller | larger
    value: float | None = None
    step: int | None = None
    validations: int = 0
    since: int = 0
    stopped: int | None = None

    def take(self, value: float, step: int) -> bool:
        """Note a validation; whether it is the best so far."""
        smaller = self.better == "smaller"
        best = value == value and (self.value is None or (value < self.value if smaller else value > self.value))
        self.validations += 1
        self.since = 0 if best else self.since + 1
        if best:
            self.value, self.step = value, step
        return best

    def facts(self, last: int) -> dict[str, Any]:
        """For run.json. `last`: the last step."""
        kept = self.step if self.keep == BEST and self.step is not None else last
        return {**asdict(self), "kept_step": kept}


class BestStep(TrainerCallback):
    """Looks at each validation of `trainer`, keeps the best weights and ends the training where nothing is better.

    What is measured on the way (`trainer.eval_steps`, samples) is measured with the weights of that step.
    """

    def __init__(self, trainer: Any, keys: TrainerConfig) -> None:
        self.trainer = trainer
        self.keeps, self.patience = keys.keep == BEST, keys.patience
        better = "smaller" if direction_of(keys.keep_metric) == "minimize" else "larger"
        self.choice = Choice(keys.keep, keys.keep_metric, better)
        self.weights: dict[str, Any] = {}
        self.ended = False

    @property
    def stopped(self) -> bool:
        return self.choice.stopped is not None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        kept = self.trainer.checkpoint_state
        if kept is not None and kept.resumed_from is not None:
            self._load(kept.resumed_from)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step >= state.max_steps:
            control.should_evaluate = True

    def on_evaluate(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        metrics: dict[str, float] = given["metrics"]
        if self.ended:  # it is what is kept that is validated
            return
        name = f"eval_{self.choice.metric.removeprefix('eval/')}"
        if name not in metrics:
            known = ", ".join(f"eval/{each.removeprefix('eval_')}" for each in metrics)
            raise UserError(f"`trainer.keep_metric={self.choice.metric}` is not measured here. Measured: {known}.")
        value = float(metrics[name])
        if self.choice.take(first(lambda: value), state.global_step) and self.keeps:
            now = trainable_parameters(self.trainer.model)
            self.weights = {name: value.clone() for name, value in now.items()}
        if self.patience is not None and self.choice.since >= self.patience and state.global_step < state.max_steps:
            self.choice.stopped = state.global_step
            control.should_training_stop = True

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.ended = True
        for name, value in trainable_parameters(self.trainer.model).items() if self.weights else ():
            value.copy_(self.weights[name])

    def save(self, folder: Path) -> None:
        """Write the choice so far into a checkpoint's folder. All processes call it."""
        if is_first():
            write_json(folder / CHOICE, asdict(self.choice))
        if self.weights:
            save_beside(self.trainer.model, self.weights, folder / WEIGHTS)

    def _load(self, folder: Path) -> None:
        self.choice = Choice(**json.loads((folder / CHOICE).read_text(encoding="utf-8")))
        if is_saved(folder / WEIGHTS):
            self.weights = load_beside(self.trainer.model, folder / WEIGHTS)


def check_choice(config: Config, data: TrainingData, rows: tuple[Rows, Rows]) -> None:
    """Errors: a run whose validations leave nothing to choose, or do not measure `trainer.keep_metric`."""
    keys, (train, valid) = config.trainer, rows
    if keys.keep != BEST and keys.patience is None:
        return
    asked, off = (f"trainer.keep={BEST}", "trainer.keep=last") if keys.keep == BEST else (
        f"trainer.patience={keys.patience}", "trainer.patience=null"
    )  # fmt: skip
    if not valid.rows:
        raise UserError(
            f"`{asked}` compares validations, and `dataset={config.dataset.name}` leaves no example for them "
            f"(dataset.validation_fraction={config.dataset.validation_fraction}). Raise it, or set {off}."
        )
    steps, every = training_steps(config, train.examples), keys.eval_steps or 0
    if every >= steps:
        fix = f"Set trainer.eval_steps to {max((steps - 1) // 2, 1)} or less, or {off}." if steps > 1 else f"Set {off}."
        raise UserError(
            f"`{asked}` has nothing to compare in this run: it validates every {every} steps (trainer.eval_steps), and "
            f"has {steps}. {fix}"
        )
    if data.choosing is not None:
        _check_measured(keys.keep_metric, config, data.choosing)


def _check_measured(metric: str, config: Config, data: TrainingData) -> None:
    """Errors: the validation part has nothing to measure one of our metrics on."""
    sources = {group.source for group in data.groups}
    known = {"human_turn_nll": bool(data.conversations), "pair_accuracy": bool(sources)}
    known["selection_score"] = len(sources) == 1
    name = metric.removeprefix("eval/")
    if not any(there for start, there in known.items() if name.startswith(start)):
        raise UserError(
            f"`trainer.keep_metric={metric}` cannot be measured on the validation part of `dataset="
            f"{config.dataset.name}`: it has {len(data.groups)} response groups of {len(sources)} sources and "
            f"{len(data.conversations)} conversations. Set trainer.keep_metric=eval/loss."
        )
