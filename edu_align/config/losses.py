"""Which keys go with which loss of `trainer.loss_type`: what a loss needs, and what it does not read."""

from collections.abc import Iterator
from typing import Any

from edu_align.config.schema import (
    COMPARING_LOSSES,
    DEBIASED_LOSSES,
    DPO_LOSSES,
    REFERENCE_FREE_LOSSES,
    REFERENCED,
    TrainerConfig,
)
from edu_align.utils.distributed import count

Values = dict[str, Any]
# Losses that read no `trainer.label_smoothing`.
UNSMOOTHED = (
    "sigmoid", "hinge", "ipo", "nca_pair", "bco_pair", "sppo_hard", "apo_zero", "apo_down", "discopop", "sft",
    "sigmoid_norm", "simpo", "orpo", "cpo",
)  # fmt: skip


def has_reference(trainer: TrainerConfig) -> bool:
    """Whether the trainer's loss reads a reference model."""
    return isinstance(trainer, REFERENCED) and trainer.loss_type not in REFERENCE_FREE_LOSSES


def problems_of_loss(values: Values) -> Iterator[str]:
    """A problem for each key that the loss lacks, or that does nothing with it. `values`: dotted key to value."""
    loss = values.get("trainer.loss_type")
    if loss not in DPO_LOSSES:
        return
    if loss == "exo_pair" and values.get("trainer.label_smoothing") == 0:
        yield "`trainer.loss_type` exo_pair needs `trainer.label_smoothing` > 0, got 0.0. Set it to 1e-3."
    if loss in UNSMOOTHED and (smoothing := values.get("trainer.label_smoothing")):
        yield (
            f"`trainer.label_smoothing={smoothing}` does nothing with trainer.loss_type={loss}. Set "
            "trainer.loss_type=robust, which reads it as the share of wrong labels, or drop it."
        )
    if loss in COMPARING_LOSSES:
        yield from _comparing(values, f"`trainer.loss_type={loss}` compares all pairs of a step")
    yield from _terms(values, loss)
    yield from _own(values, loss)
    if loss in REFERENCE_FREE_LOSSES:
        yield from _reference_free(values, loss)
    args = values.get("trainer.args") or {}
    if args.get("use_weighting") is True and values.get("trainer.sft_weight"):
        yield (
            "`trainer.args.use_weighting` does not go with an SFT term, which TRL weighs in place, got "
            f"trainer.sft_weight={values['trainer.sft_weight']}. Drop it, or set trainer.sft_weight=0."
        )


def _own(values: Values, loss: str) -> Iterator[str]:
    """The losses whose pairs can be weighed one by one, and whose reward can be another one, without what TRL would put
    in their place.
    """
    how, weight, beside = values.get("trainer.debias"), values.get("trainer.pmi_weight"), ""
    if how in ("reweight", "product"):
        beside = f"trainer.debias={how}"
        if loss not in DEBIASED_LOSSES:
            yield (
                f"`{beside}` needs a loss of each pair by itself: {' | '.join(DEBIASED_LOSSES)}, got "
                f"trainer.loss_type={loss}. Set trainer.loss_type=sigmoid or trainer.debias=none."
            )
    if weight:
        beside = f"trainer.pmi_weight={weight}"
        if loss != "sigmoid":
            yield (
                f"`{beside}` is a reward of DPO's own loss, got trainer.loss_type={loss}. Set "
                "trainer.loss_type=sigmoid or trainer.pmi_weight=0."
            )
    given = values.get("trainer.args") or {}
    for name in ("ld_alpha", "f_divergence_type", "use_weighting") if beside and loss == "sigmoid" else ():
        if given.get(name) not in (None, False, "reverse_kl"):
            yield f"`trainer.args.{name}` does nothing with {beside}. Drop one of them."


def _comparing(values: Values, why: str) -> Iterator[str]:
    """Cut into passes, or dealt out to processes, it would be another loss."""
    batch = values.get("trainer.batch_size", 1)
    fits: Any = values.get("hardware.per_device_batch_size", batch)
    if count() > 1:
        yield f"{why}, and {count()} processes would share them. Launch one, or choose another trainer.loss_type."
    if 1 <= fits < batch:
        yield (
            f"{why} in one forward pass: `hardware.per_device_batch_size` must be >= trainer.batch_size ({batch}), got "
            f"{fits}. Set hardware.per_device_batch_size={batch} or trainer.batch_size={fits}."
        )


def _terms(values: Values, loss: str) -> Iterator[str]:
    """The margin of SimPO, and the SFT term that CPO does not go without and ORPO has already."""
    gamma, weight = values.get("trainer.simpo_gamma"), values.get("trainer.sft_weight")
    if loss == "simpo" and gamma is None:
        yield (
            "`trainer.loss_type=simpo` needs its target margin `trainer.simpo_gamma`, got null. Its authors take a "
            "beta of 2 or more, not DPO's 0.1: set trainer.beta=2 trainer.simpo_gamma=1."
        )
    if loss != "simpo" and gamma is not None:
        yield (
            f"`trainer.simpo_gamma={gamma}` does nothing with trainer.loss_type={loss}. Set trainer.loss_type=simpo, "
            "or drop it."
        )
    if loss == "orpo" and weight:
        yield (
            f"`trainer.sft_weight={weight}` would add a second SFT term to trainer.loss_type=orpo, which has one of "
            "weight 1. Drop it; trainer.beta weighs ORPO's other term."
        )
    if loss == "cpo" and weight == 0:
        yield (
            "`trainer.loss_type=cpo` needs its SFT term, got trainer.sft_weight=0.0: without it nothing keeps the "
            "chosen replies likely. Set trainer.sft_weight=1."
        )


def _reference_free(values: Values, loss: str) -> Iterator[str]:
    """Keys of a reference model that is not there."""
    if values.get("trainer.precompute_reference") is False:
        yield (
            f"`trainer.precompute_reference=False` does nothing with trainer.loss_type={loss}, which reads no "
            "reference model. Drop it."
        )
