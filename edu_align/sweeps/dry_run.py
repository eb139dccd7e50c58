"""`sweep.dry_run=true`: what a sweep would do, what of it is finished, and what the rest would take. Starts nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from edu_align.config.compose import Made, settled
from edu_align.planning.duration import GB, seconds
from edu_align.planning.plan import make_plan
from edu_align.sweeps.executor import format_values, workers
from edu_align.sweeps.space import Dimension, ListSearch, folders_of
from edu_align.sweeps.state import SweepFolder, is_done
from edu_align.training.chain import stages
from edu_align.training.run import newest_attempt
from edu_align.utils.errors import SomeFailed, UserError
from edu_align.utils.output import duration
from edu_align.utils.tables import text

DONE = "finished"


@dataclass(frozen=True)
class Forecast:
    """One job. `state`: finished, or what becomes of it; `peak`: bytes; None where it is not known."""

    number: int
    values: dict[str, Any]
    state: str
    run: str = "-"
    peak: float | None = None
    budget: int | None = None
    seconds: float | None = None
    error: str = ""

    def row(self) -> list[str]:
        peak = "-" if self.peak is None else f"{self.peak / GB:.2f} GB"
        takes = "-" if self.seconds is None else duration(self.seconds)
        return [str(self.number), self.state, peak, takes, self.run, format_values(self.values) or "-"]


def forecast(
    config: DictConfig, loader: Any, folder: SweepFolder, space: list[Dimension], jobs: Iterable[list[str]]
) -> list[Forecast]:
    """What is known of each job before it is started, those that the sweep's folder has under their numbers."""
    found = ListSearch(folder, space, jobs, writes=False)
    return sorted((_job(config, loader, folder, job) for job in found.jobs), key=lambda one: one.number)


def _job(config: DictConfig, loader: Any, folder: SweepFolder, job: dict[str, Any]) -> Forecast:
    number, values = job["number"], job["values"]
    if not config.force and is_done(job, folder.path.parents[1]):
        return Forecast(number, values, str(job["state"]), str(job.get("run") or "-"))
    try:
        return _planned(number, values, _composed(config, loader, job["overrides"]))
    except UserError as error:
        return Forecast(number, values, "would fail", error=str(error))


def _composed(config: DictConfig, loader: Any, overrides: list[str]) -> list[DictConfig]:
    """The config of a job, or of each stage of its chain, as `train` gets them. Errors: those of the config."""
    try:
        composed = loader.load_sweep_config(config, overrides)
    except Exception as error:
        raise UserError(" ".join(str(error).split())) from None
    words = list(composed.hydra.overrides.task)
    others = folders_of(config)
    if composed.chain:
        return [each for _, each in stages(composed.chain, words, others)]
    made = Made(words, others, str(composed.hydra.runtime.choices["model"]))
    with open_dict(composed):
        del composed.hydra
    return [settled(composed, made)]


def _planned(number: int, values: dict[str, Any], configs: list[DictConfig]) -> Forecast:
    """Errors: what the job would fail with: unusable data, no model, a run that does not fit."""
    if len(configs) == 1 and (before := newest_attempt(configs[0])) is not None:
        run, state = before.path.name, before.record["state"]
        if state == DONE:
            return Forecast(number, values, DONE, run)
    else:
        run, state = "-", ""
    plans = [make_plan(OmegaConf.to_object(one)) for one in configs]  # type: ignore[arg-type]
    times = [None if plan.unknown else seconds(plan.config, plan.machine, plan.work) for plan in plans]
    largest = max(plans, key=lambda plan: plan.peak)
    if not largest.fits and largest.config.hardware.memory_check:
        raise UserError(
            f"it is planned to take {largest.peak / GB:.1f} GB and may take "
            f"{(largest.machine.budget or 0) / GB:.1f} GB ({largest.machine.source})"
        )
    return Forecast(
        number, values, "goes on" if state else "to train", run,
        None if any(plan.unknown for plan in plans) else largest.peak, largest.machine.budget,
        sum(time[0] for time in times if time) if all(times) else None,
    )  # fmt: skip


def print_forecast(name: str, objective: str, found: list[Forecast], config: DictConfig, unknown: int = 0) -> None:
    """The table and a line of sums. `unknown`: further jobs, whose values a search chooses as it goes.

    Errors: jobs that would fail, listed at the end.
    """
    print(f"edu_align: sweep {name}: {_count(len(found) + unknown)}, compared by {objective}; nothing is started")
    if found:
        print("\n".join(text([["job", "state", "memory", "time", "run", "values"], *(one.row() for one in found)])))
    if unknown:
        print(f"and {_count(unknown)} whose values {config.sweep.sampler} chooses as it learns from those before")
    left = [one for one in found if one.state in ("to train", "goes on")]
    over = len(found) - len(left) - sum(bool(one.error) for one in found)
    print(f"edu_align: {over} of {_count(len(found) + unknown)} finished; {_left(left, workers(config))}", flush=True)
    if failing := [one for one in found if one.error]:
        texts = [f"#{one.number} ({format_values(one.values)}): {one.error}" for one in failing]
        raise SomeFailed(texts, by_user=True, became="would fail")


def _left(left: list[Forecast], at_once: int) -> str:
    """`4 jobs left: about 12 min of training, one at a time; the largest, job 3, takes 2.1 GB of 7.6`."""
    if not left:
        return "none is left to train"
    known = [one.seconds for one in left if one.seconds is not None]
    together = max(1, min(at_once, len(left)))
    how = "one at a time" if together == 1 else f"{together} at a time"
    time = "time not known"
    if known:
        time = f"about {duration(max(sum(known) / together, *known))} of training, {how}"
        time += f" (not known of {len(left) - len(known)})" if len(known) < len(left) else ""
    parts = [f"{_count(len(left))} left: {time}"]
    sizes = [one for one in left if one.peak is not None]
    if sizes:
        largest = max(sizes, key=lambda one: one.peak or 0.0)
        of = "" if largest.budget is None else f" of {largest.budget / GB:.2f}"
        parts.append(f"the largest, job {largest.number}, takes {(largest.peak or 0.0) / GB:.2f} GB{of}")
    return "; ".join(parts)


def _count(number: int) -> str:
    return f"{number} job{'' if number == 1 else 's'}"
