"""Rules on the keys of `sweep`: alone, and with what is swept."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edu_align.config.metrics import check_objective
from edu_align.utils.errors import UserError
from edu_align.utils.words import did_you_mean, listed

_GPUS = re.compile(r"auto|off|\d+(,\d+)*")
_FOLDER = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")


def problems_of_sweep(values: dict[str, Any]) -> Iterator[str]:
    """A problem for a name that is no folder's name, for GPUs that are none, and for pruning that cannot happen."""
    name, sampler, metric = values.get("sweep.name"), values.get("sweep.sampler"), values.get("sweep.prune_metric")
    if name is not None and not _FOLDER.fullmatch(str(name)):
        yield (
            f"`sweep.name` must be the name of a folder (letters, digits, - _ .), got {name!r}. Example: "
            "sweep.name=betas."
        )
    if (gpus := values.get("sweep.gpus")) is not None and not _GPUS.fullmatch(gpus):
        yield f"`sweep.gpus` must be auto | off | numbers of GPUs, got {gpus!r}. Example: sweep.gpus=0,1."
    elif gpus is not None and len(set(gpus.split(","))) < len(gpus.split(",")):
        yield f"`sweep.gpus={gpus}` names a GPU twice. Name each once."
    yield from problems_of_pareto(values.get("sweep.pareto") or [])
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


def problems_of_pareto(names: Sequence[str]) -> Iterator[str]:
    """A problem for objectives that are one, or named twice, or no metric of a run by their name's beginning."""
    if len(names) == 1:
        yield (
            f"`sweep.pareto` weighs two numbers or more, got [{names[0]}]. Name another one, or set "
            f"objective={names[0]} alone."
        )
    if twice := next((name for name in names if names.count(name) > 1), None):
        yield f"`sweep.pareto` names {twice} twice. Name each number once."
    for name in names:
        if name.startswith(("eval/", "train/", "before/", "base/")):
            try:
                check_objective(name)
            except UserError as error:
                yield str(error).replace(f"`objective={name}`", f"`sweep.pareto`: {name}").replace("objective=", "")


def problems_of_zip(zipped: Sequence[str], counts: Mapping[str, int | None], sampler: str) -> Iterator[str]:
    """What is wrong with `sweep.zip`, beside swept keys of so many values; None: an interval, which has no list."""
    if not zipped:
        return
    said = f"`sweep.zip=[{','.join(zipped)}]`"
    twice = next((key for key in zipped if zipped.count(key) > 1), None)
    if twice is not None:
        yield f"{said} names {twice} twice. Name each key once."
    elif len(zipped) < 2:
        yield f"{said} pairs the values of two keys or more, and this is one. Name another one, or drop it."
    elif sampler == "tpe":
        yield f"{said}: sweep.sampler=tpe chooses each key by itself. Set sweep.sampler=grid or random, or drop it."
    elif lacking := [key for key in zipped if key not in counts]:
        hint = did_you_mean(lacking[0], counts) or (f" Swept are: {listed(counts)}." if counts else "")
        yield f"{said} names {lacking[0]}, which is not swept.{hint} Give it several values, or drop it."
    elif endless := [key for key in zipped if counts[key] is None]:
        yield f"{said} pairs listed values, and {endless[0]} has an interval. List its values: {endless[0]}=<a>,<b>."
    elif len({counts[key] for key in zipped}) > 1:
        have = ", ".join(f"{key} has {counts[key]}" for key in zipped)
        yield f"{said} pairs values one by one, and they are not as many: {have}. Give each key as many values."


def problem_of_jobs_file(path: str, sampler: str, zipped: Sequence[str]) -> str:
    """What does not go with `sweep.jobs_file`; "" where all does."""
    if sampler != "grid":
        return (
            f"`sweep.jobs_file={path}` lists its jobs, and sweep.sampler={sampler} chooses them. Set "
            "sweep.sampler=grid, or drop one of them."
        )
    if zipped:
        return f"`sweep.jobs_file={path}` says what goes together, as sweep.zip does. Give one of them."
    return ""
