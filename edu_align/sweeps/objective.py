"""What the jobs of a sweep are compared by: the metric that `objective` names, or one that means the same in all."""

from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from edu_align.config.metrics import comparable
from edu_align.runs.folder import read_stored
from edu_align.sweeps.space import Dimension, folders_of
from edu_align.sweeps.state import Job
from edu_align.utils.errors import UserError
from edu_align.utils.words import listed

CHOOSING = ("trainer", "experiment", "chain", "evaluation.enabled")  # keys that decide what a run measures
MOST = 64  # combinations of their swept values that are looked at


def objectives(config: DictConfig, loader: Any, space: list[Dimension]) -> tuple[str, ...]:
    """Names of metrics: the one that the config names, or those that all jobs can be compared by, the best first.

    Errors: it names none, and there is none that all trainers of the sweep have.
    """
    if config.objective is not None:
        return (str(config.objective),)
    found = list(dict.fromkeys(_kinds(config, loader, space)))
    names = comparable([algorithm for algorithm, _ in found], all(held_out for _, held_out in found))
    if names:
        return names
    trainers = listed(dict.fromkeys(algorithm for algorithm, _ in found))
    measured = "" if all(held_out for _, held_out in found) else ", with evaluation.enabled=false"
    raise UserError(
        f"`objective` is null, and no metric compares the jobs of this sweep whatever their beta (trainer {trainers}"
        f"{measured}). Name one, such as objective=eval/loss."
    )


def _kinds(config: DictConfig, loader: Any, space: list[Dimension]) -> Iterator[tuple[str, bool]]:
    """Trainer of each kind of job, of its last stage in a chain, and whether it measures held-out records."""
    choosing = [one for one in space if one.swept and one.name in CHOOSING]
    still = [f"{one.key}={one.words[0]}" for one in space if not one.swept]
    if not choosing:
        yield _kind(config, still)
        return
    for words in islice(product(*(one.words for one in choosing)), MOST):
        typed = [*still, *(f"{one.key}={word}" for one, word in zip(choosing, words, strict=True))]
        try:
            yield _kind(loader.load_sweep_config(config, typed), typed)
        except Exception:  # that job says what is wrong as it starts
            continue


def _kind(config: DictConfig, words: list[str]) -> tuple[str, bool]:
    """Of a config that `words` made."""
    if config.chain:
        from edu_align.training.chain import stages

        config = stages(list(config.chain), words, folders_of(config))[-1][1]
    return str(config.trainer.algorithm), bool(config.evaluation.enabled)


def measured(names: tuple[str, ...], jobs: list[Job], outputs: Path) -> tuple[str, dict[int, float | None]] | None:
    """Another one of `names` that all finished jobs measured, and its values; None where the first has one, or none do.

    Jobs that are compared by no number are worth a second look: their data may lack what the first name measures.
    """
    done = [job for job in jobs if job["state"] == "finished" and job.get("run")]
    if not done or any(job["objective"] is not None for job in done):
        return None
    runs = {job["number"]: read_stored(outputs / "runs" / job["run"]) for job in done}
    found = {number: run.metrics if run else {} for number, run in runs.items()}
    name = next((each for each in names[1:] if all(each in metrics for metrics in found.values())), None)
    return name and (name, {number: metrics[name] for number, metrics in found.items()})  # type: ignore[return-value]
