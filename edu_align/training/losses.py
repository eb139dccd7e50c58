"""Losses of our own for preference pairs, beside TRL's: a function here, its name in `LOSSES` and in config's words.

A function gets the scores of B pairs and returns a loss for each. The optimizer takes their mean.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Tensor = Any  # torch.Tensor


@dataclass(frozen=True)
class PairScores:
    """What the model and the reference model give the replies of B pairs, each tensor (B,).

    `*_logps`: log-probabilities summed over the tokens of a reply, with gradients; `ref_*_logps`: the reference
    model's, without. `*_tokens`: tokens of a reply. `beta`, `label_smoothing`: the keys of `trainer`.
    """

    chosen_logps: Tensor
    rejected_logps: Tensor
    ref_chosen_logps: Tensor
    ref_rejected_logps: Tensor
    chosen_tokens: Tensor
    rejected_tokens: Tensor
    beta: float
    label_smoothing: float


Loss = Callable[[PairScores], Tensor]
LOSSES: dict[str, Loss] = {}  # by `trainer.loss_type`
