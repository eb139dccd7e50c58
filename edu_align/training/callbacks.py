"""What is done beside TRL's training: a bar, numbers at every log line, samples on the way, the mean of weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.optim.swa_utils import get_swa_multi_avg_fn
from tqdm import tqdm
from transformers import TrainerCallback

from edu_align.models.trainable import load_beside, save_beside, trainable_parameters
from edu_align.runs.folder import RunFolder, RunListener
from edu_align.tracking import Tracker
from edu_align.utils.output import say

SHOWN = {"loss": "loss", "rewards/accuracies": "acc", "rewards/margins": "margin", "eval_loss": "eval_loss"}
AVERAGE = "averaged.safetensors"  # in a checkpoint, by the parameters' names


class Recorder(TrainerCallback):
    """Numbers only, under TRL's own names (`loss`, `rewards/margins`, `eval_loss` ...), with the optimizer step."""

    def __init__(self, folder: RunFolder, tracker: Tracker, listener: RunListener) -> None:
        self.folder = folder
        self.tracker = tracker
        self.listener = listener
        self.bar: Any = None
        self.shown: dict[str, str] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar = tqdm(total=state.max_steps, initial=state.global_step, desc="training", unit="step", mininterval=5)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.update(state.global_step - self.bar.n)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        say(self.bar)
        self.bar.close()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        numbers = {key: value for key, value in (logs or {}).items() if isinstance(value, int | float)}
        if not numbers:
            return
        self.folder.append("metrics.jsonl", {"step": state.global_step, **numbers})
        self.shown |= {SHOWN[k]: f"{v:.3f}" for k, v in numbers.items() if k in SHOWN}
        self.bar.set_postfix(self.shown, refresh=False)
        named = {f"eval/{k[5:]}" if k.startswith("eval_") else f"train/{k}": v for k, v in numbers.items()}
        self.tracker.log(named, state.global_step)
        self.listener.metrics(state.global_step, named)


class Sampler(TrainerCallback):
    """Calls `look(step)` every `steps` optimizer steps, but not after the last one, which is measured anyway."""

    def __init__(self, steps: int, look: Callable[[int], None]) -> None:
        self.steps = steps
        self.look = look

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.steps == 0 and state.global_step < state.max_steps:
            self.look(state.global_step)


class Averaging(TrainerCallback):
    """Keeps the mean of `trainer`'s trained weights over the last `share` of its steps, and ends with it (Izmailov et
    al. 2018, arXiv:1803.05407).

    A step of preference data has few prompts, so that the weights of one step lean towards the prompts that it was made
    of. Their mean over many steps does not, and costs one addition a step. It pays where the step size stays large
    (`trainer.lr_scheduler=constant_with_warmup`): a schedule that ends at 0 has done much of the same by itself.

    `share`: > 0 to 1; at least the last step counts. The mean is float32, as trained weights are, and lies beside them.
    What is measured on the way (`trainer.eval_steps`, samples) is measured with the weights of that step.
    """

    def __init__(self, trainer: Any, share: float) -> None:
        self.trainer = trainer
        self.share = share
        self.mean: dict[str, torch.Tensor] = {}
        self.update = get_swa_multi_avg_fn()

    def counted(self, state: Any) -> int:
        """How many steps are in the mean, at the end of the step that `state` names."""
        last = max(1, round(self.share * state.max_steps))
        return max(0, state.global_step - (state.max_steps - last))

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        kept = self.trainer.checkpoint_state
        if kept is not None and kept.resumed_from is not None and self.counted(state):
            self.mean = load_beside(self.trainer.model, kept.resumed_from / AVERAGE)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        count = self.counted(state)
        if count == 0:
            return
        now = trainable_parameters(self.trainer.model)
        if count == 1:
            self.mean = {name: value.clone() for name, value in now.items()}
        else:
            self.update([self.mean[name] for name in now], list(now.values()), count - 1)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        for name, value in trainable_parameters(self.trainer.model).items():
            value.copy_(self.mean[name])

    def save(self, folder: Path) -> None:
        """Write the mean into a checkpoint's folder; nothing before the first step that counts. All processes do it."""
        if self.mean:
            save_beside(self.trainer.model, self.mean, folder / AVERAGE)
