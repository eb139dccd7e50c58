"""Pairs that words decide count less: the two ways of Clark et al. (2019, arXiv:1909.03683, section 3) on pairs.

A bag of words, fitted on the pairs of other questions, gives each training pair the log-odds b that its chosen reply is
the better one. With p = sigmoid(b) its probability of the right order:

    reweight    the pair's loss times (1 - p), divided by the mean of (1 - p) over the training pairs
    product     product of experts: b is added to the loss's own log-odds, -log sigmoid(beta * margin + b)

What the model is left to learn is what words do not say. They are read in training only: a validation loss, and whoever
measures the model, take it alone.
"""

from collections.abc import Sequence
from math import exp

from edu_align.data.bag_of_words import FOLDS, held_out_odds
from edu_align.records import Pair
from edu_align.utils.errors import UserError

REWEIGHT, PRODUCT = "reweight", "product"


def bias_of(how: str, pairs: Sequence[Pair], seed: int) -> tuple[list[float], str]:
    """The number of each training pair that its loss takes (a weight for `reweight`, log-odds for `product`), and a
    line on them. Errors: pairs of too few questions.
    """
    questions = len({pair.group.group for pair in pairs})
    if questions < 2 * FOLDS:
        raise UserError(
            f"`trainer.debias={how}` scores each training pair by words of other questions' pairs, and there are pairs "
            f"of {questions}: at least {2 * FOLDS} are needed. Add data, or set trainer.debias=none."
        )
    odds = held_out_odds(pairs, seed)
    right = sum((value > 0) + (value == 0) / 2 for value in odds) / len(odds)
    numbers = weights(odds) if how == REWEIGHT else odds
    what = "weights" if how == REWEIGHT else "log-odds"
    return numbers, (
        f"edu_align: trainer.debias={how}: a bag of words orders {right:.3f} of {len(odds)} training pairs right, each "
        f"scored without its question; {what} from {min(numbers):.2f} to {max(numbers):.2f}"
    )


def weights(odds: Sequence[float]) -> list[float]:
    """1 - sigmoid of each, divided by their mean."""
    every = [1 / (1 + exp(min(value, 700.0))) for value in odds]
    mean = sum(every) / len(every)
    return [value / mean for value in every]
