"""Several objectives at once: which jobs no other one beats in all of them (the Pareto front), as a table.

An objective is a metric of run.json (`eval/pair_accuracy_implicit`) or a number of the suite (`question_rate/mrbench`),
which is there once `edu_align.evaluate` has measured the runs. The front is that of the values; their intervals stand
beside them, because a job that is a little worse may not be told apart.
"""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edu_align.config.metrics import direction_of
from edu_align.reports import SPLITS
from edu_align.reports.sweep.reading import PARTS, Job, Sweep
from edu_align.reports.sweep.table import number, setting
from edu_align.utils.files import read_json
from edu_align.utils.tables import Rows, cell
from edu_align.utils.words import did_you_mean

if TYPE_CHECKING:
    from edu_align.evaluation.suite.results import MetricResult

SEED = 42  # of the intervals of the suite's numbers, as in its own report
SUITE = "evaluation"  # folder of a run in which the suite says which stored results are its own
OF_RUN = (*PARTS, "train/")  # how the names of run.json begin; the others are the suite's
MOST_NAMED = 8  # runs that the command to measure them names


@dataclass(frozen=True)
class Front:
    """`rows`: the head, then each job that has all numbers, those of the front first; `notes`: what is missing."""

    rows: Rows
    notes: list[str]


@dataclass(frozen=True)
class _Number:
    value: float
    text: str
    better: str  # higher | lower | ""


def front(sweep: Sweep, names: Sequence[str]) -> Front | None:
    """The table of `names`; None where fewer than two are asked for. Only finished jobs take part."""
    if len(names) < 2:
        return None
    jobs = [job for job in sweep.jobs if job.state == "finished" and job.run is not None]
    split = _split(jobs)
    measured = {job.number: _numbers(job, names, split) for job in jobs}
    better = {name: _better(name, measured.values()) for name in names}
    notes = [*_missing(names, jobs, measured, split), *_undirected(better)]
    compared = {name: way for name, way in better.items() if way}
    having = [job for job in jobs if compared and all(name in measured[job.number] for name in compared)]
    if len(compared) < 2 or not having:
        return Front([], notes)
    points = {
        job.number: [
            measured[job.number][name].value * (1 if way == "higher" else -1) for name, way in compared.items()
        ]
        for job in having
    }
    beaten = {number: _beaten_by(number, points) for number in points}
    head = ["job", "setting", *(f"{name} ({way} is better)" for name, way in compared.items()), "on the front"]
    rows = [
        [
            str(job.number), setting(job) or "-", *(measured[job.number][name].text for name in compared),
            "yes" if beaten[job.number] is None else f"no: job {beaten[job.number]}",
        ]
        for job in sorted(having, key=lambda job: (beaten[job.number] is not None, job.number))
    ]  # fmt: skip
    return Front([head, *rows], notes)


def _beaten_by(number: int, points: Mapping[int, list[float]]) -> int | None:
    """The first job that is at least as good in all objectives and better in one."""
    own = points[number]
    for other, values in points.items():
        if values != own and all(there >= here for there, here in zip(values, own, strict=True)):
            return other
    return None


def _better(name: str, measured: Any) -> str:
    if name.startswith(OF_RUN):
        return "lower" if direction_of(name) == "minimize" else "higher"
    return next((numbers[name].better for numbers in measured if name in numbers), "higher")


def _split(jobs: Sequence[Job]) -> str:
    """The part of the data that the suite measured all runs on; of both the one that settings are chosen on."""
    for split in reversed(SPLITS):
        if jobs and all(job.run and (job.run / SUITE / f"{split}.json").is_file() for job in jobs):
            return split
    return next((split for split in reversed(SPLITS) for job in jobs if _listing(job, split)), SPLITS[-1])


def _listing(job: Job, split: str) -> dict[str, Any]:
    return (read_json(job.run / SUITE / f"{split}.json") if job.run else None) or {}


def _numbers(job: Job, names: Sequence[str], split: str) -> dict[str, _Number]:
    found = {}
    for name in names:
        if name.startswith(OF_RUN) and name in job.metrics:
            value = job.metrics[name]
            entry = job.entries.get(name)
            found[name] = _Number(value, cell(entry) if entry else number(value), "")
    wanted = [name for name in names if not name.startswith(OF_RUN)]
    for result in _results(job, split) if wanted else ():
        found |= {name: _of_suite(result, name) for name in wanted if name in result.measured}
    return found


def _results(job: Job, split: str) -> "list[MetricResult]":
    """What the suite stored of the job's own model, which its listing names last."""
    from edu_align.evaluation.suite.store import read_result

    listed = [*(_listing(job, split).get("files") or {}).values()]
    paths = [job.run / place for place in listed[-1].values()] if listed and job.run else []
    return [read_result(path) for path in paths if path.is_file()]


def _of_suite(result: "MetricResult", name: str) -> _Number:
    from edu_align.evaluation.bootstrap import interval
    from edu_align.evaluation.suite.summarise import BOUNDS

    series = result.measured[name]
    found = interval(
        series.values, series.groups, weights=series.weights, seed=SEED, bounds=BOUNDS.get(result.units.get(name, ""))
    )
    low, high = (None if math.isnan(end) else end for end in (found.low, found.high))
    entry = {"value": found.mean, "low": low, "high": high, "clusters": found.clusters}
    return _Number(found.mean, cell(entry), result.better.get(name, ""))


def _missing(
    names: Sequence[str], jobs: Sequence[Job], measured: Mapping[int, Mapping[str, _Number]], split: str
) -> list[str]:
    """A sentence for each objective that some jobs lack, and how to measure it."""
    found = []
    for name in names:
        lacking = [job for job in jobs if name not in measured[job.number]]
        if not lacking:
            continue
        known = sorted(
            {each for job in jobs for each in job.metrics} | {each for j in jobs for each in _known(j, split)}
        )
        hint = did_you_mean(name, known) if len(lacking) == len(jobs) else ""
        left = (
            f"{name} is not measured of {len(lacking)} of {len(jobs)} finished jobs, which the table leaves out.{hint}"
        )
        found.append(left if name.startswith(OF_RUN) else f"{left} Measure it: {_command(lacking, split)}")
    return found


def _known(job: Job, split: str) -> list[str]:
    return [name for result in _results(job, split) for name in result.measured]


def _command(jobs: Sequence[Job], split: str) -> str:
    names = ",".join(Path(job.run).name for job in jobs[:MOST_NAMED] if job.run)
    more = "" if len(jobs) <= MOST_NAMED else f" (and {len(jobs) - MOST_NAMED} more)"
    return f"python -m edu_align.evaluate {shlex.quote(f'runs=[{names}]')} evaluation.split={split}{more}"


def _undirected(better: Mapping[str, str]) -> list[str]:
    said = "neither more nor less of it is better, so it decides nothing here."
    return [f"{name}: {said}" for name, way in better.items() if not way]
