"""Losses of our own on pairs of replies, beside TRL's: a function each, by the word of `trainer.loss_type`.

For a prompt x, y_w is the chosen and y_l the rejected reply, log pi(y|x) the sum over the tokens of a reply and |y|
their number. The loss of a step is the mean over its pairs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import logsigmoid

Tensor = Any  # torch.Tensor
NEAR_ONE = 1e-6  # nats a token: a reply that is likelier than exp(-NEAR_ONE) has the odds of that


@dataclass(frozen=True)
class PairScores:
    """What the model and the reference model give the replies of B pairs, each tensor (B,).

    `*_logps`: log-probabilities summed over the tokens of a reply, with gradients; `ref_*_logps`: the reference
    model's, without, and 0 for a loss in `REFERENCE_FREE_LOSSES`. `*_tokens`: tokens of a reply. `beta`,
    `label_smoothing`, `simpo_gamma`: the keys of `trainer`. `odds`: another model's log-odds of each pair's order,
    which are added to the policy's (`trainer.debias=product`).
    """

    chosen_logps: Tensor
    rejected_logps: Tensor
    ref_chosen_logps: Tensor
    ref_rejected_logps: Tensor
    chosen_tokens: Tensor
    rejected_tokens: Tensor
    beta: float
    label_smoothing: float
    simpo_gamma: float = 0.0
    odds: Tensor | float = 0.0

    def means(self) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the chosen and of the rejected replies, in nats a token, (B,) each."""
        return self.chosen_logps / self.chosen_tokens, self.rejected_logps / self.rejected_tokens


Loss = Callable[[PairScores], Tensor]  # a loss for each of the B pairs; the optimizer takes their mean


def simpo(pairs: PairScores) -> Tensor:
    """SimPO (Meng et al. 2024, arXiv:2405.14734), equation 6, with the target margin gamma = `trainer.simpo_gamma`:

    -log sigmoid(beta / |y_w| * log pi(y_w|x) - beta / |y_l| * log pi(y_l|x) - gamma)
    """
    chosen, rejected = pairs.means()
    return -logsigmoid(pairs.beta * (chosen - rejected) - pairs.simpo_gamma + pairs.odds)


def orpo(pairs: PairScores) -> Tensor:
    """ORPO (Hong et al. 2024, arXiv:2403.07691), equations 6 and 7, with lambda = `trainer.beta`:

        -log P(y_w|x) - lambda * log sigmoid(log [odds(y_w|x) / odds(y_l|x)]),    odds = P / (1 - P)

    where log P(y|x) = log pi(y|x) / |y|. The first term is an SFT term, so `trainer.sft_weight` is refused beside it.
    """
    chosen, rejected = pairs.means()
    return -chosen - pairs.beta * logsigmoid(_log_odds(chosen) - _log_odds(rejected) + pairs.odds)


def cpo(pairs: PairScores) -> Tensor:
    """The preference term of CPO (Xu et al. 2024, arXiv:2401.08417, L_prefer with a uniform reference):

        -log sigmoid(beta * log pi(y_w|x) - beta * log pi(y_l|x))

    Its other term, -log pi(y_w|x), is `trainer.sft_weight`'s, here a mean over the chosen tokens of a step as in TRL's
    CPOTrainer.
    """
    return -logsigmoid(pairs.beta * (pairs.chosen_logps - pairs.rejected_logps) + pairs.odds)


def sigmoid(pairs: PairScores) -> Tensor:
    """DPO (Rafailov et al. 2023, arXiv:2305.18290), equation 7, as TRL has it where `trainer.debias` is none."""
    chosen, rejected = pairs.chosen_logps - pairs.ref_chosen_logps, pairs.rejected_logps - pairs.ref_rejected_logps
    return -logsigmoid(pairs.beta * (chosen - rejected) + pairs.odds)


def _log_odds(mean: Tensor) -> Tensor:
    """log(P / (1 - P)) of P = exp(mean)."""
    below = mean.clamp(max=-NEAR_ONE)
    return below - torch.log(-torch.expm1(below))


# A new loss is a function above, its name here and its word in schema.DPO_LOSSES; in schema.REFERENCE_FREE_LOSSES, too,
# where it reads no reference model.
LOSSES: dict[str, Loss] = {"simpo": simpo, "orpo": orpo, "cpo": cpo}
# Losses that weigh replies by the token: the rewards that are logged are beta times nats a token, not a reply.
BY_TOKEN = ("simpo", "orpo")
