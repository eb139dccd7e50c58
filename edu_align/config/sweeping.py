"""The keys of `sweep`, and the rules between them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SAMPLERS = ("grid", "random", "tpe")
DIRECTIONS = ("auto", "minimize", "maximize")
# A metric is better when it is smaller if one of these words is in its name; every other one when it is larger.
SMALLER_IS_BETTER = frozenset(("loss", "nll", "perplexity", "ppl", "error", "entropy", "seconds", "brier", "ece"))
_FOLDER = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")


@dataclass
class SweepConfig:
    """How a multirun chooses and keeps its jobs. The keys are explained in conf/config.yaml."""

    name: str | None = None
    sampler: str = "grid"  # grid | random | tpe
    trials: int = 20
    seed: int | None = None
    direction: str = "auto"  # auto | minimize | maximize
    batch: int | None = None
    prune_metric: str | None = None
    prune_min_steps: int = 10
    prune_factor: int = 3


def direction_of(metric: str, asked: str = "auto") -> str:
    """`minimize` or `maximize`: what was `asked`, or by the words of the metric's name where that is auto."""
    if asked != "auto":
        return asked
    words = re.split(r"[^a-z0-9]+", metric.lower())
    return "minimize" if SMALLER_IS_BETTER.intersection(words) else "maximize"


def problems_of_sweep(values: dict[str, Any]) -> Iterator[str]:
    """A problem for a name that is no folder's name, and for pruning that cannot happen."""
    name, sampler, metric = values.get("sweep.name"), values.get("sweep.sampler"), values.get("sweep.prune_metric")
    if name is not None and not _FOLDER.fullmatch(str(name)):
        yield (
            f"`sweep.name` must be the name of a folder (letters, digits, - _ .), got {name!r}. Example: "
            "sweep.name=betas."
        )
    if metric is None:
        return
    if sampler != "tpe":
        yield f"`sweep.prune_metric` is for sweep.sampler=tpe, got it with {sampler}. Set sweep.prune_metric=null."
    if not metric.startswith(("train/", "eval/")):
        yield (
            "`sweep.prune_metric` must be a metric logged on the way (train/... or eval/...), got "
            f"{metric!r}. Example: sweep.prune_metric=eval/rewards/accuracies."
        )
    if metric.startswith("eval/") and values.get("trainer.eval_steps") is None:
        yield (
            f"`sweep.prune_metric={metric}` is measured every `trainer.eval_steps` steps, and that is null. "
            "Set trainer.eval_steps=20, or a sweep.prune_metric that starts with train/."
        )
