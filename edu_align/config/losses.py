"""Rules of preference losses: what TRL finds out once the model is loaded, and losses that no device may cut."""

from collections.abc import Iterator
from typing import Any

from edu_align.config.schema import COMPARING_LOSSES, DPO_LOSSES
from edu_align.utils.distributed import count

# Losses of TRL's that read no `trainer.label_smoothing`.
UNSMOOTHED = (
    "sigmoid", "hinge", "ipo", "nca_pair", "bco_pair", "sppo_hard", "apo_zero", "apo_down", "discopop", "sft",
    "sigmoid_norm",
)  # fmt: skip


def problems_of_loss(values: dict[str, Any]) -> Iterator[str]:
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
    args = values.get("trainer.args") or {}
    if args.get("use_weighting") is True and values.get("trainer.sft_weight"):
        yield (
            "`trainer.args.use_weighting` does not go with an SFT term, which TRL weighs in place, got "
            f"trainer.sft_weight={values['trainer.sft_weight']}. Drop it, or set trainer.sft_weight=0."
        )


def _comparing(values: dict[str, Any], why: str) -> Iterator[str]:
    """Cut into passes, or dealt out to processes, it would be another loss."""
    batch = values.get("trainer.batch_size", 1)
    fits = values.get("hardware.per_device_batch_size", batch)
    if count() > 1:
        yield f"{why}, and {count()} processes would share them. Launch one, or choose another trainer.loss_type."
    if 1 <= fits < batch:
        yield (
            f"{why} in one forward pass: `hardware.per_device_batch_size` must be >= trainer.batch_size ({batch}), got "
            f"{fits}. Set hardware.per_device_batch_size={batch} or trainer.batch_size={fits}."
        )
