"""A training that diverges ends before the step that shows it: no weight is touched by a number that is not finite.

Once a step, before the optimizer's, the losses of all passes and the norm of the gradient are added up and looked at:
one number that comes from the device. transformers' own filter, which hides such losses from the log and asks for two
numbers in every pass, is off. In fp16 gradients overflow now and then, above all at first, and the scaler leaves those
steps out: only a loss, or many such steps in a row, is a divergence there.
"""

import math
from typing import Any

from edu_align.config.trl_args import UNWARMED
from edu_align.models.trainable import trainable_parameters
from edu_align.runs.checkpoints import checkpoints
from edu_align.training.micro_batches import MicroBatching
from edu_align.training.resume import ResumableTraining
from edu_align.training.trl_dataset import record_ids
from edu_align.utils.distributed import count, is_first, total
from edu_align.utils.errors import RunFailed

MOST_SKIPPED = 20  # steps in a row; each halves the scale: from 65,536 to below 0.1
SHOWN = 8  # ids in the message; run.json has all


class Diverged(RunFailed):
    """A loss, a gradient or a weight is not finite."""


class StopOnDivergence(ResumableTraining, MicroBatching):
    """Stops where the training diverges. Errors: `Diverged`.

    Overrides `_get_grad_norm` (losses and gradient of a step are looked at), `_save_checkpoint` and
    `_finalize_training` (the weights are, before they are kept).
    """

    steps_skipped = 0  # in a row, by fp16's scaler

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        whole = norm.full_tensor() if hasattr(norm, "full_tensor") else norm  # of a sharded model
        if not _finite(self, sum(loss for loss, _ in self.step.losses) + whole):
            _find_cause(self, model, whole)
        else:
            self.steps_skipped = 0
        return norm

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        _check_weights(self)
        super()._save_checkpoint(model, trial)

    def _finalize_training(self, *args: Any) -> Any:
        _check_weights(self)
        return super()._finalize_training(*args)


def _finite(trainer: StopOnDivergence, value: Any) -> bool:
    """Whether a number is finite in every process; a sum over them keeps what is not."""
    if count() > 1:
        import torch

        value = trainer.accelerator.reduce(torch.as_tensor(value, device=trainer.args.device).float())
    return math.isfinite(float(value))


def _find_cause(trainer: StopOnDivergence, model: Any, norm: Any) -> None:
    """Something is not finite: tell the loss from the gradient, and a divergence from a step that the scaler skips."""
    losses = [(float(loss), rows) for loss, rows in trainer.step.losses]
    number = trainer.state.global_step + 1
    if not _finite(trainer, sum(loss for loss, _ in losses)):
        found = next((loss for loss, _ in losses if not math.isfinite(loss)), math.nan)
        _stop(trainer, model, number, f"the loss is {found}", losses)
    if trainer.accelerator.scaler is not None:
        trainer.steps_skipped += 1
        if trainer.steps_skipped < MOST_SKIPPED:
            return
        what = (
            f"{trainer.steps_skipped} steps in a row had gradients that float16 cannot hold, the norm is {float(norm)}"
        )
        _stop(trainer, model, number, what, losses)
    _stop(trainer, model, number, f"the norm of the gradient is {float(norm)}", losses)


def _check_weights(trainer: StopOnDivergence) -> None:
    """Errors: `Diverged` where a trained weight is not finite after the last step."""
    import torch

    sizes = [
        torch.linalg.vector_norm(value, math.inf)
        for value in trainable_parameters(trainer.model).values()
        if value.numel()
    ]
    if not _finite(trainer, sum(size.to(trainer.args.device) for size in sizes)):
        losses = [(float(loss), rows) for loss, rows in trainer.step.losses]
        _stop(trainer, None, trainer.state.global_step, "a trained weight is not finite after the step", losses)


def _stop(trainer: StopOnDivergence, model: Any, number: int, what: str, losses: list[tuple[float, Any]]) -> None:
    every = list(dict.fromkeys(name for _, rows in losses for name in record_ids(trainer, rows)))
    guilty = [name for loss, rows in losses if not math.isfinite(loss) for name in record_ids(trainer, rows)]
    healthy = bool(guilty) and any(math.isfinite(loss) for loss, _ in losses)
    if model is not None and count() == 1:
        alone = _finite_alone(trainer, model)
        found = [name for name in every if not alone.get(name, True)]
        healthy = any(alone.values())
        guilty = found or guilty
    rows = _of_all(guilty or every)
    good = _last_good(trainer, number - 1 if model is not None else number, healthy)
    facts = {
        "step": number, "what": what, "rows": rows, "rows_of_step": _of_all(every),
        "learning_rate": trainer._get_learning_rate(), "last_good_checkpoint": good,
    }  # fmt: skip
    raise Diverged(_message(trainer, facts), {"diverged": facts})


def _finite_alone(trainer: StopOnDivergence, model: Any) -> dict[str, bool]:
    """Whether each record of the step gives a finite loss and gradient by itself; a scaled gradient is not looked at.

    The gradients that are there are lost: no optimizer step comes after this.
    """
    import torch

    found: dict[str, bool] = {}
    for row, loss in trainer.each_example_alone(model):
        value = loss
        if trainer.accelerator.scaler is None:
            norms = [each.grad.norm() for each in model.parameters() if each.grad is not None]
            value = loss + torch.stack([norm.to(loss.device) for norm in norms]).sum() if norms else loss
        name = trainer.row_ids[row]
        found[name] = found.get(name, True) and math.isfinite(float(value))
    return found


def _last_good(trainer: StopOnDivergence, newest: int, healthy: bool) -> str | None:
    """The newest whole checkpoint, its path. That of step `newest` goes where its weights give nothing finite."""
    kept = trainer.checkpoint_state
    if kept is None or not is_first():
        return None
    if not healthy and newest in checkpoints(kept.progress.place):
        kept.progress.drop(newest)
    good = kept.progress.newest_valid()
    return str(good) if good else None


def _of_all(names: list[str]) -> list[str]:
    """The names of all processes."""
    if total(float(len(names))) == len(names):
        return names
    from accelerate.utils import gather_object

    return list(dict.fromkeys(gather_object(names)))


def _message(trainer: StopOnDivergence, facts: dict[str, Any]) -> str:
    config, rows = trainer.passes.config, facts["rows"]
    shown = ", ".join(rows[:SHOWN]) + (f" and {len(rows) - SHOWN} more (run.json)" if len(rows) > SHOWN else "")
    narrow = len(rows) < len(facts["rows_of_step"])
    where = f"in {shown}, of the {len(facts['rows_of_step'])} rows of the step" if narrow else f"in rows {shown}"
    kept = facts["last_good_checkpoint"]
    last = f"The last good checkpoint is {kept}" if kept else "There is no good checkpoint before it"
    tries = [f"trainer.learning_rate={min(config.trainer.learning_rate / 10, 1e-4):g}"]
    tries += ["hardware.dtype=float32"] if trainer.args.fp16 or trainer.args.bf16 else []
    tries += ["trainer.max_grad_norm=1.0"] if config.trainer.max_grad_norm > 1 else []
    warmed = config.trainer.lr_scheduler not in UNWARMED
    tries += ["trainer.warmup_ratio=0.1"] if warmed and not config.trainer.warmup_ratio else []
    data = " Look at these rows first: the others are finite." if narrow else ""
    return (
        f"training diverged at step {facts['step']}: {facts['what']}, {where}. The learning rate was "
        f"{facts['learning_rate']:g}. {last}; nothing was kept after it.{data} Try {', '.join(tries)}."
    )
