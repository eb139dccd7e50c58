"""Jobs that differ in nothing but their seed: one setting, with the mean and the spread of what it reached."""

import json
import statistics
from dataclasses import dataclass
from typing import Any

from edu_align.sweeps.reporting.jobs import Job, Sweep

SEED = "seed"


@dataclass(frozen=True)
class Setting:
    """`values` without the seed; `jobs`: all of them; the numbers are over the `count` that are ranked.

    `spread` is the standard deviation between seeds (n - 1 in the denominator), None for one.
    """

    values: dict[str, Any]
    jobs: list[Job]
    count: int
    mean: float
    spread: float | None
    low: float
    high: float
    best: Job


def settings(sweep: Sweep) -> list[Setting]:
    """Settings by their mean objective, the best first; empty where no setting has two seeds that finished.

    A setting of which no job finished is left out.
    """
    if SEED not in sweep.keys:
        return []
    grouped: dict[str, list[Job]] = {}
    for job in sweep.jobs:
        grouped.setdefault(alike(job), []).append(job)
    ranked = {job.number: place for place, job in enumerate(sweep.ranked())}
    found = []
    for jobs in grouped.values():
        done = sorted((job for job in jobs if job.ranked), key=lambda job: ranked[job.number])
        if done:
            found.append(_setting(jobs, done))
    if not any(setting.count > 1 for setting in found):
        return []
    return sorted(found, key=lambda setting: setting.mean, reverse=sweep.direction == "maximize")


def alike(job: Job) -> str:
    """What two jobs have in common that differ in the seed only."""
    return json.dumps({key: job.values[key] for key in sorted(job.values) if key != SEED}, default=str)


def _setting(jobs: list[Job], done: list[Job]) -> Setting:
    reached = [float(job.objective or 0) for job in done]
    return Setting(
        values={key: value for key, value in done[0].values.items() if key != SEED},
        jobs=jobs,
        count=len(done),
        mean=statistics.fmean(reached),
        spread=statistics.stdev(reached) if len(reached) > 1 else None,
        low=min(reached),
        high=max(reached),
        best=done[0],
    )
