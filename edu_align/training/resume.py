"""Going on with a training that was cut off, to the bit: what TRL's trainers leave out of a checkpoint, and when it
stops.

transformers saves optimizer, scheduler, scaler, random states and its own state, and skips the batches that were seen.
What it leaves out is kept here: the loss since the last line of the log and in all, TRL's numbers since then, tokens
counted so far, seconds spent. Of the model only what is trained is saved, by its name, as safetensors; the rest is
built again as at the first start, an adapter that is the frozen reference included.
"""

import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME

from edu_align.models.shards import OPTIMIZER, any_part, complete_optimizer, save_optimizer
from edu_align.models.trainable import load_trainable, save_trainable
from edu_align.packing.decoder import TokenCounts
from edu_align.runs.attempts import ActiveRun
from edu_align.runs.checkpoints import CheckpointStore
from edu_align.training.best import BestStep
from edu_align.training.callbacks import Averaging
from edu_align.utils.distributed import any_process, count, is_first, rank
from edu_align.utils.errors import Interrupted, first_line
from edu_align.utils.files import write_json

# Attributes of transformers' and TRL's trainers that a checkpoint of theirs does not hold, and that numbers depend on.
NUMBERS = ("_total_loss_scalar", "_globalstep_last_logged", "_total_train_tokens")


@dataclass
class CheckpointState:
    """How a run keeps its checkpoints, and the numbers of its training over all attempts.

    `most`: how many are kept; `sharing`: the tokens that packing counts; `resumed_from`: the checkpoint that the
    training goes on from, and `numbers` those that it holds; `aside`: where one is being written.
    """

    progress: CheckpointStore
    most: int
    sharing: TokenCounts
    resumed_from: Path | None = None
    numbers: dict[str, Any] = field(default_factory=dict)
    began: float = 0.0
    aside: Path | None = None
    _start: tuple[int, int] = (0, 0)

    def begin(self) -> None:
        """Start the clock and the counts, at what they were in the checkpoint."""
        if self.resumed_from is not None:
            self.numbers = read_numbers(self.resumed_from)
        self.began = time.monotonic()
        self._start = (self.sharing.asked, self.sharing.computed)

    @property
    def seconds_before(self) -> float:
        """Seconds that earlier attempts trained, up to the checkpoint."""
        return float(self.numbers.get("seconds", 0.0))

    def so_far(self) -> dict[str, Any]:
        """Seconds of training, and tokens that were asked for and computed, over all attempts."""
        asked, computed = self._start
        return {
            "seconds": self.seconds_before + time.monotonic() - self.began,
            "asked": self.numbers.get("asked", 0) + self.sharing.asked - asked,
            "computed": self.numbers.get("computed", 0) + self.sharing.computed - computed,
        }


class Resume(TrainerCallback):
    """Puts the numbers of the checkpoint back, and ends the training at the end of a step where that is asked for."""

    def __init__(self, trainer: Any, work: ActiveRun) -> None:
        self.trainer = trainer
        self.work = work
        self.ending = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if found := self.trainer.checkpoint_state.numbers:
            restore(self.trainer, found)
            args.eval_on_start = False  # it has started
        state.save_steps = args.save_steps

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """metrics.jsonl has every line; transformers would keep them all in memory and in each checkpoint, too."""
        state.log_history.clear()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.work.check()
        if any_process(self.work.stop.number is not None):
            if args.save_strategy == "no":
                raise self._interrupted()
            self.ending = control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.ending:
            raise self._interrupted()

    def _interrupted(self) -> Interrupted:
        return Interrupted(self.work.stop.number or signal.SIGTERM)  # another process may have been told


class ResumableTraining(Trainer):
    """Checkpoints that hold all that the training depends on.

    Overrides where transformers writes a checkpoint, what is in it and how it is read (`_get_output_dir`,
    `_save_checkpoint`, `_save`, `_load_from_checkpoint`; of sharded weights `_save_optimizer_and_scheduler` and
    `_load_optimizer_and_scheduler`), `_run_epoch` (a finished training takes no step more) and
    `_finalize_training` (the seconds are those of all attempts). Without a `checkpoint_state` it keeps none.
    """

    checkpoint_state: CheckpointState | None = None
    averaging: Averaging | None = None  # its mean is kept, too
    best: BestStep | None = None  # its choice is kept, too
    optimizer: Any
    lr_scheduler: Any

    def _get_output_dir(self, trial: Any) -> str:
        aside = self.checkpoint_state and self.checkpoint_state.aside
        return str(aside.parent if aside else self.args.output_dir)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Not TRL's, which writes a card first. The last step's needs no optimizer: no step comes after it."""
        self.args.save_only_model = self.state.global_step >= self.state.max_steps
        if self.checkpoint_state is not None:
            _write(self, self.checkpoint_state, lambda: Trainer._save_checkpoint(self, model, trial))

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if output_dir is None:
            return
        save_trainable(self.model, Path(output_dir))
        if self.averaging is not None:
            self.averaging.save(Path(output_dir))
        if self.best is not None:
            self.best.save(Path(output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_trainable(self.model, Path(resume_from_checkpoint))

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not any_part(each for group in self.optimizer.param_groups for each in group["params"]):
            super()._save_optimizer_and_scheduler(output_dir)
            return
        rest = save_optimizer(self.optimizer, Path(output_dir) / OPTIMIZER)
        if self.args.should_save:
            torch.save(rest, Path(output_dir) / OPTIMIZER_NAME)
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None and (Path(checkpoint) / OPTIMIZER_NAME).is_file():
            complete_optimizer(self.optimizer, Path(checkpoint) / OPTIMIZER, self.args.device)

    def _run_epoch(self, *args: Any, **options: Any) -> None:
        stopped = self.best is not None and self.best.stopped
        if stopped or self.state.global_step >= self.state.max_steps:  # transformers would train one step more
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **options)

    def _finalize_training(self, trial: Any, num_train_samples: Any, start_time: float) -> Any:
        earlier = self.checkpoint_state.seconds_before if self.checkpoint_state else 0.0
        return super()._finalize_training(trial, num_train_samples, start_time - earlier)


def numbers_of(trainer: Any) -> dict[str, Any]:
    """What a checkpoint of transformers' leaves out, as plain numbers; floats survive JSON to the bit."""
    return {
        **{name: getattr(trainer, name) for name in NUMBERS},
        "_tr_loss": trainer._tr_loss.item(),
        "_metrics": trainer._metrics["train"],
        **trainer.checkpoint_state.so_far(),
    }


def read_numbers(checkpoint: Path) -> dict[str, Any]:
    """The numbers that this process goes on with.

    Of a checkpoint that another number of processes wrote, the loss since the last line of the log is their mean, as it
    will be logged, and the first process has all tokens; the rest is equal in all of them.
    """
    every = [
        json.loads((checkpoint / f"numbers_{number}.json").read_text(encoding="utf-8"))
        for number in range(len(list(checkpoint.glob("numbers_*.json"))))
    ]
    if len(every) == count():
        own: dict[str, Any] = every[rank()]
        return own
    counted = {name: sum(each[name] for each in every) if is_first() else 0 for name in ("asked", "computed")}
    return {**every[0], "_tr_loss": sum(each["_tr_loss"] for each in every) / len(every), **counted}


def restore(trainer: Any, numbers: dict[str, Any]) -> None:
    """The reverse of `numbers_of`, once transformers has set them to their first values."""
    for name in NUMBERS:
        setattr(trainer, name, numbers[name])
    trainer._tr_loss.fill_(numbers["_tr_loss"])
    trainer._metrics["train"].update(numbers["_metrics"])
    trainer._initial_global_step = 0  # losses, steps and times are told of all attempts together


def _write(trainer: Any, kept: CheckpointState, save: Callable[[], None]) -> None:
    """Write a checkpoint. Where the disk refuses and one process trains, say so and go on: those before it are kept."""
    step = trainer.state.global_step
    try:
        with kept.progress.written_aside(step) as kept.aside:
            save()
            write_json(kept.aside / f"numbers_{rank()}.json", numbers_of(trainer))
    except Exception as error:
        if count() > 1:
            raise
        reason = first_line(error)
        print(f"edu_align: no checkpoint at step {step} ({reason}). Training goes on without it.", flush=True)
        return
    finally:
        kept.aside = None
    if is_first():
        kept.progress.keep_newest(step, kept.most)
