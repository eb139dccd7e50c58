"""Every logging step of TRL's trainer: a progress bar, a line of metrics.jsonl, the tracker, and the run's listener."""

from collections.abc import Callable
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback

from edu_align.runs.folder import RunFolder
from edu_align.runs.listener import RunListener
from edu_align.tracking import Tracker

SHOWN = {"loss": "loss", "rewards/accuracies": "acc", "rewards/margins": "margin", "eval_loss": "eval_loss"}


class Recorder(TrainerCallback):
    """Numbers only, under TRL's own names (`loss`, `rewards/margins`, `eval_loss` ...), with the optimizer step."""

    def __init__(self, folder: RunFolder, tracker: Tracker, listener: RunListener) -> None:
        self.folder = folder
        self.tracker = tracker
        self.listener = listener
        self.bar: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar = tqdm(total=state.max_steps, initial=state.global_step, desc="training", unit="step", mininterval=5)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.update(state.global_step - self.bar.n)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.close()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        numbers = {key: value for key, value in (logs or {}).items() if isinstance(value, int | float)}
        if not numbers:
            return
        self.folder.append("metrics.jsonl", {"step": state.global_step, **numbers})
        self.bar.set_postfix({SHOWN[k]: f"{v:.3f}" for k, v in numbers.items() if k in SHOWN}, refresh=False)
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
