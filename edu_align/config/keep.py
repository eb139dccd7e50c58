"""Rules of `trainer.keep`, `trainer.keep_metric` and `trainer.patience`: which weights stay, and when training ends."""

from collections.abc import Iterator
from typing import Any

from edu_align.config.bounds import not_a_word
from edu_align.config.metrics import choosing_metrics, is_held_out
from edu_align.config.schema import BEST, GRADED_LOSSES, TrainerConfig

METRIC = TrainerConfig.keep_metric


def problems_of_keep(values: dict[str, Any]) -> Iterator[str]:
    """A problem for a choice without validations, by no metric, or of weights that another key decides.

    `values`: the whole config, dotted key to value.
    """
    best, patience = values.get("trainer.keep") == BEST, values.get("trainer.patience")
    metric, algorithm = values.get("trainer.keep_metric", METRIC), values.get("trainer.algorithm", "")
    if not best and patience is None:
        if metric != METRIC:
            yield (
                f"`trainer.keep_metric={metric}` does nothing with trainer.keep=last and no trainer.patience. Set "
                "trainer.keep=best, or drop it."
            )
        return
    asked = f"trainer.keep={BEST}" if best else f"trainer.patience={patience}"
    if "trainer.eval_steps" in values and values["trainer.eval_steps"] is None:
        yield (
            f"`{asked}` compares validations on the way, and trainer.eval_steps is null. Set trainer.eval_steps=50, or "
            f"{'trainer.keep=last' if best else 'trainer.patience=null'}."
        )
    if best and values.get("trainer.average_last"):
        yield (
            f"`trainer.keep={BEST}` and trainer.average_last={values['trainer.average_last']} name different weights. "
            "Set trainer.average_last=0 or trainer.keep=last."
        )
    words = choosing_metrics(algorithm, values.get("trainer.reward_loss") in GRADED_LOSSES)
    if metric not in words:
        yield not_a_word("trainer.keep_metric", metric, words)
    elif is_held_out(metric) and values.get("evaluation.enabled") is False:
        yield (
            f"`trainer.keep_metric={metric}` is measured on held-out records, and evaluation.enabled is false. Set "
            f"evaluation.enabled=true or trainer.keep_metric={METRIC}."
        )
