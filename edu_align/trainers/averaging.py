"""The mean of the weights over the last steps in place of the last step's (Izmailov et al. 2018, arXiv:1803.05407).

A step of preference data has few prompts, so that the weights of one step lean towards the prompts that it was made of.
Their mean over many steps does not, and costs one addition a step. It pays where the step size stays large
(`trainer.lr_scheduler=constant_with_warmup`): a schedule that ends at 0 has done much of the same by itself.
"""

from pathlib import Path
from typing import Any

import torch
from torch.optim.swa_utils import get_swa_multi_avg_fn
from transformers import TrainerCallback

from edu_align.models.sharding import release_gathered_weights
from edu_align.models.trainable import save_tensors, trainable_parameters

AVERAGE = "averaged.safetensors"  # in a checkpoint, by the parameters' names


class Averaging(TrainerCallback):
    """Keeps the mean of `trainer`'s trained weights over the last `share` of its steps, and ends with it.

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
        from safetensors.torch import load_file

        went_on = self.trainer.keeper.went_on if self.trainer.keeper else None
        if went_on is not None and self.counted(state):
            device = args.device
            self.mean = {name: value.to(device) for name, value in load_file(went_on / AVERAGE).items()}

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
        release_gathered_weights(self.trainer.model)  # the last step's evaluation has left weights gathered
        for name, value in trainable_parameters(self.trainer.model).items():
            value.copy_(self.mean[name])

    def save(self, folder: Path) -> None:
        """Write the mean into a checkpoint's folder; nothing before the first step that counts."""
        if self.mean:
            save_tensors(self.mean, folder / AVERAGE)
