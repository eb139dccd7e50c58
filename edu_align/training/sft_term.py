"""DPO's SFT term as a mean over the chosen tokens of a step, however the step is cut into forward passes.

TRL takes the mean over the chosen tokens of a pass. A pass counts by its pairs, so that the tokens of a long reply
would count less in a pass of its own:

    two pairs, chosen replies of 10 and 90 tokens     a pass of both      1/100 for each token
                                                      a pass of each      1/20 and 1/180
"""

from typing import Any

import trl

from edu_align.config.schema import DPOTrainerConfig
from edu_align.training.means import REPLIES, weights_of
from edu_align.training.micro_batches import MicroBatching

SFT = "sft"  # TRL's word


def has_sft_term(trainer: DPOTrainerConfig) -> bool:
    return bool(trainer.sft_weight) or trainer.loss_type == SFT


class SFTTerm(MicroBatching, trl.DPOTrainer):
    """Overrides `_compute_loss`: in a training step the SFT term weighs as many tokens as the pass has of the step's.
    Inert without that term.
    """

    loss_weights: list[float]

    def _compute_loss(self, model: Any, inputs: Any, return_outputs: bool) -> Any:
        kept, step = self.loss_weights, self.step.sizes
        if model.training and SFT in self.loss_types and step:
            here = weights_of(inputs, self.passes.sides)
            share = (here[REPLIES] / here["loss"]) / (step[REPLIES] / step["loss"])
            self.loss_weights = [
                weight * share if name == SFT else weight for name, weight in zip(self.loss_types, kept, strict=True)
            ]
        try:
            return super()._compute_loss(model, inputs, return_outputs)
        finally:
            self.loss_weights = kept
