"""The jobs of a sweep as rows, for the CSV and for the page; and settings over their seeds."""

import csv
import io
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edu_align.reports.sweep.reading import Entry, Job, Sweep
from edu_align.utils.tables import cell

ALSO_SHOWN = ("train/loss", "eval/loss", "eval/rewards/accuracies")  # beside the objective and what has intervals
MAX_ERROR = 160  # characters of an error in a table; the CSV has all of it


@dataclass(frozen=True)
class Column:
    """`note` stands under the name: n where all jobs have the same. Numbers are set to the right."""

    name: str
    note: str = ""
    number: bool = True


@dataclass(frozen=True)
class Cell:
    """`sort` orders the rows when a reader sorts by the column; None goes last."""

    text: str
    sort: float | str | None = None


def shown_metrics(sweep: Sweep) -> list[str]:
    """The objective, then everything after training that has an interval, then ALSO_SHOWN, as far as measured."""
    measured = dict.fromkeys(name for job in sweep.jobs for name in job.entries if not name.startswith("before/"))
    known = {name for job in sweep.jobs for name in job.metrics}
    names = [sweep.objective, *measured, *(name for name in ALSO_SHOWN if name in known)]
    return list(dict.fromkeys(names))


def table(sweep: Sweep, jobs: Sequence[Job]) -> tuple[list[Column], list[list[Cell]]]:
    """Columns (number, state, objective, swept keys, other metrics, time, memory, run, error), and a row a job."""
    objective, *others = names = shown_metrics(sweep)
    counts = {name: common_count(sweep, name) for name in names}
    columns = [
        Column("job"),
        Column("state", number=False),
        Column(objective, counts[objective]),
        *(Column(key, number=False) for key in sweep.keys),
        *(Column(name, counts[name]) for name in others),
        Column("seconds"),
        Column("peak GiB"),
        Column("run", number=False),
        Column("error", number=False),
    ]
    return columns, [_row(sweep, job, counts) for job in jobs]


def _row(sweep: Sweep, job: Job, counts: dict[str, str]) -> list[Cell]:
    objective, *others = [_measured(sweep, job, name, counts[name]) for name in counts]
    return [
        Cell(str(job.number), job.number),
        Cell(job.state, job.state),
        objective,
        *(_value(job, key) for key in sweep.keys),
        *others,
        _plain(job.seconds, ".1f"),
        _plain(job.peak_gib, ".2f"),
        Cell(job.run.name if job.run else "-", job.run.name if job.run else None),
        Cell(brief(job.error) or "-", job.error),
    ]


def setting_rows(sweep: Sweep) -> list[list[str]]:
    """Settings over their seeds, the first row being the head; empty where seeds were not swept."""
    found = settings(sweep)
    if not found:
        return []
    keys = [key for key in sweep.keys if key != "seed"]
    head = [*keys, "seeds", f"mean {sweep.objective}", "standard deviation", "least to largest"]
    return [head] + [
        [
            *(as_text(each.values.get(key, "-")) for key in keys),
            str(each.count) if each.count == len(each.jobs) else f"{each.count} of {len(each.jobs)}",
            number(each.mean),
            "-" if each.spread is None else number(each.spread),
            f"{number(each.low)} to {number(each.high)}",
        ]
        for each in found
    ]


def flat(sweep: Sweep) -> tuple[list[str], list[list[Any]]]:
    """Names and rows of results.csv: every metric of every job, with `.low`, `.high`, `.n` and `.groups` behind it.

    Jobs come by number; None is what was not measured.
    """
    metrics = list(dict.fromkeys(name for job in sweep.jobs for name in job.metrics))
    with_entry = {name for job in sweep.jobs for name in job.entries}
    names = ["job", "state", *sweep.keys, "objective", "seconds", "peak_memory_gib", "run", "run_id", "error"]
    for name in metrics:
        names += [name, *(f"{name}.{part}" for part in ("low", "high", "n", "groups") if name in with_entry)]
    return [*names, "overrides"], [_flat_row(sweep, job, metrics, with_entry) for job in sweep.jobs]


def as_csv(sweep: Sweep) -> str:
    """The text of results.csv."""
    names, rows = flat(sweep)
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return out.getvalue()


def common_count(sweep: Sweep, name: str) -> str:
    """`n 120 (12 groups)` where all jobs that measured `name` did so on as many items; else an empty text."""
    counts = {_count(job.entries[name]) for job in sweep.jobs if name in job.entries}
    return counts.pop() if len(counts) == 1 else ""


def brief(error: str | None) -> str:
    """An error in one line of at most MAX_ERROR characters."""
    text = " ".join((error or "").split())
    return text if len(text) <= MAX_ERROR else f"{text[: MAX_ERROR - 4]} ..."


def as_text(value: Any) -> str:
    """A swept value as a person would write it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def setting(job: Job) -> str:
    """`beta=0.1, learning_rate=0.0002`: the swept values, each key by its last part."""
    return ", ".join(f"{key.rpartition('.')[2]}={as_text(value)}" for key, value in job.values.items())


def number(value: float) -> str:
    """Four significant digits: `0.6934`, `1.2e-05`, `nan`."""
    return f"{value:.4g}"


def _flat_row(sweep: Sweep, job: Job, metrics: list[str], with_entry: set[str]) -> list[Any]:
    values: dict[str, Any] = {key: job.values.get(key) for key in sweep.keys}
    values = {k: as_text(v) if isinstance(v, bool | str | list | dict) else v for k, v in values.items()}
    found: list[Any] = [job.number, job.state, *(values[key] for key in sweep.keys), job.objective]
    found += [job.seconds, job.peak_gib, job.run.name if job.run else None, job.run_id, job.error]
    for name in metrics:
        found.append(job.metrics.get(name))
        if name in with_entry:
            entry = job.entries.get(name, {})
            found += [entry.get(part) for part in ("low", "high", "n", "clusters")]
    return [*found, " ".join(job.overrides)]


def _measured(sweep: Sweep, job: Job, name: str, common: str) -> Cell:
    value = job.objective if name == sweep.objective else job.metrics.get(name)
    entry = job.entries.get(name)
    if value is None:
        return Cell("-")
    order = value if math.isfinite(value) else None
    if entry is None:
        return Cell(number(value), order)
    return Cell(cell(entry) + ("" if common else f", {_count(entry)}"), order)


def _count(entry: Entry) -> str:
    return f"n {entry['n']} ({entry['clusters']} groups)"


def _value(job: Job, key: str) -> Cell:
    if key not in job.values:
        return Cell("-")
    value = job.values[key]
    return Cell(as_text(value), float(value) if isinstance(value, int | float) else as_text(value))


def _plain(value: float | None, form: str) -> Cell:
    return Cell("-") if value is None else Cell(f"{value:{form}}", value)


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
        values = {key: job.values[key] for key in sorted(job.values) if key != SEED}
        grouped.setdefault(json.dumps(values, default=str), []).append(job)
    ranked = {job.number: place for place, job in enumerate(sweep.ranked())}
    found = []
    for jobs in grouped.values():
        done = sorted((job for job in jobs if job.ranked), key=lambda job: ranked[job.number])
        if done:
            found.append(_setting(jobs, done))
    if not any(setting.count > 1 for setting in found):
        return []
    return sorted(found, key=lambda setting: setting.mean, reverse=sweep.direction == "maximize")


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
