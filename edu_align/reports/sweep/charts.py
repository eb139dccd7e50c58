"""The pictures of a sweep's report, as far as the sweep has what they show."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edu_align.reports.html.charts import COLOURS, GREY, Axis, Mark, Panel, Picture, Track, axis_over, colour
from edu_align.reports.html.curves import REWARDS, Line, curves, loss_panels
from edu_align.reports.html.page import json_lines
from edu_align.reports.sweep.importance import BINS, MIN_JOBS, importance
from edu_align.reports.sweep.reading import Job, Sweep
from edu_align.reports.sweep.table import SEED, as_text, number, setting
from edu_align.reports.words import in_words

MOST_LEVELS = 12  # distinct values of a key, beyond which numbers are drawn on an axis
MOST_KEYS = 12
LABEL = 40  # characters of a value
BEST = "c2"
COLOURED = COLOURS  # best jobs that get a colour
MOST_CURVES = 36  # curves in one picture, the named ones included
Levels = list[tuple[str, list[Job]]]


@dataclass(frozen=True)
class KeyValues:
    """What the finished jobs reached by the value of one key: a row a value, or a panel where they are many numbers.

    `said` is how much of the differences the key accounts for, where that can be said.
    """

    key: str
    said: str
    rows: Sequence[tuple[str, str, Track]] = ()
    panel: Panel | None = None


@dataclass(frozen=True)
class HeatMap:
    """The objective over two keys: `rows` of a value of `down` and a cell for each of `heads`: text, and how good it is
    from 0 to 1, None where there is no value.
    """

    across: str
    down: str
    heads: Sequence[str]
    rows: Sequence[tuple[str, Sequence[tuple[str, float | None]]]]
    caption: str


def key_values(sweep: Sweep) -> list[KeyValues]:
    """Every key with several values among the finished jobs, those that matter most first where that is known."""
    ranked = sweep.ranked()
    effects = {effect.key: effect for effect in importance(sweep)}
    keys = sorted(sweep.keys, key=lambda key: -effects[key].share if key in effects else 0.0)
    axis = axis_over(in_words(sweep.objective), [float(job.objective or 0) for job in ranked])
    found = []
    for key in keys[:MOST_KEYS]:
        levels = levels_of(ranked, key)
        if len(levels) < 2:
            continue
        effect = effects.get(key)
        chance = "" if effect is None else "p < 0.001" if effect.chance < 0.001 else f"p {effect.chance:.3f}"
        said = f"accounts for {effect.share:.2f} of the differences, {chance}" if effect else ""
        if len(levels) <= MOST_LEVELS:
            found.append(KeyValues(key, said, [_level(name, jobs, axis, ranked[0]) for name, jobs in levels]))
        elif all(is_number(jobs[0].values[key]) for _, jobs in levels):
            found.append(KeyValues(key, said, panel=_points(key, levels, axis, ranked[0])))
    return found


def key_caption(sweep: Sweep) -> str:
    """How the shares are measured, or why there is none."""
    finished = len(sweep.ranked())
    if finished < MIN_JOBS:
        return f"It takes {MIN_JOBS} finished jobs to say which keys matter; there are {finished}."
    if not importance(sweep):
        return "No key takes several values in several jobs, or all jobs reached the same."
    guided = (
        " TPE tried the better values more often, which hides part of a key's effect." if sweep.sampler == "tpe" else ""
    )
    return (
        f"The share is that of the variance of the {finished} jobs' ranks that a key accounts for on its own "
        "(Kruskal-Wallis, epsilon squared: about 0 where it does nothing, 1 where it decides all), and p is how often "
        f"shuffled jobs give as much. Numbers with many values are cut into {BINS} parts. What keys do together is in "
        f"no share.{guided}"
    )


def levels_of(jobs: Sequence[Job], key: str) -> Levels:
    """The values of a key with their jobs, numbers in their order and anything else as it came."""
    found: dict[str, list[Job]] = {}
    for job in jobs:
        if key in job.values:
            found.setdefault(as_text(job.values[key]), []).append(job)
    levels = list(found.items())
    if all(is_number(held[0].values[key]) for _, held in levels):
        levels.sort(key=lambda level: float(level[1][0].values[key]))
    return [(name if len(name) <= LABEL else f"{name[: LABEL - 1]}…", held) for name, held in levels]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def tip(job: Job) -> str:
    return f"job {job.number}: {setting(job)} -> {number(float(job.objective or 0))}"


def _level(name: str, jobs: Sequence[Job], axis: Axis, best: Job) -> tuple[str, str, Track]:
    reached = [float(job.objective or 0) for job in jobs]
    text = f"mean {number(statistics.fmean(reached))} of {len(jobs)}" if len(jobs) > 1 else number(reached[0])
    dots = [(float(job.objective or 0), BEST if job is best else GREY, tip(job)) for job in reversed(jobs)]
    return name, text, Track(axis, dots)


def _points(key: str, levels: Levels, axis: Axis, best: Job) -> Panel:
    jobs = [job for _, held in levels for job in held]
    across = axis_over(key, [float(job.values[key]) for job in jobs], log=True)
    marks = [
        Mark([(float(job.values[key]), float(job.objective or 0))], BEST if job is best else GREY, tip(job))
        for job in sorted(jobs, key=lambda job: job is best)
    ]
    return Panel("", across, axis, marks)


def heat_map(sweep: Sweep) -> HeatMap | None:
    """None unless two keys of few values besides the seed were swept, and some job has an objective."""
    keys = [key for key in sweep.keys if key != SEED]
    if len(keys) != 2 or not sweep.ranked():
        return None
    columns, rows = (levels_of(sweep.jobs, key) for key in keys)
    if not 1 < max(len(columns), len(rows)) <= MOST_LEVELS or min(len(columns), len(rows)) < 2:
        return None
    held = [
        [[job for job in down if any(job is other for other in across)] for _, across in columns] for _, down in rows
    ]
    means = [[_mean(jobs) for jobs in row] for row in held]
    known = [value for row in means for value in row if value is not None]
    low, high = min(known), max(known)

    def good(value: float | None) -> float | None:
        if value is None:
            return None
        up = (value - low) / (high - low) if high > low else 0.5
        return 1 - up if sweep.direction == "minimize" else up

    cells = [
        [(number(mean) if mean is not None else jobs[0].state if jobs else "", good(mean)) for mean, jobs in row]
        for row in (zip(*pair, strict=True) for pair in zip(means, held, strict=True))
    ]
    seeds = " Cells are means over seeds." if SEED in sweep.keys else ""
    better = "less" if sweep.direction == "minimize" else "more"
    caption = f"{in_words(sweep.objective)}; stronger is better ({better}).{seeds} Words stand where there is no value."
    return HeatMap(keys[0], keys[1], [name for name, _ in columns],
                   [(name, row) for (name, _), row in zip(rows, cells, strict=True)], caption)  # fmt: skip


def _mean(jobs: Sequence[Job]) -> float | None:
    reached = [float(job.objective or 0) for job in jobs if job.ranked]
    return statistics.fmean(reached) if reached else None


def learning_curves(sweep: Sweep) -> Picture | None:
    """None where no job has logged two steps yet."""
    jobs = [job for job in sweep.ordered() if job.run is not None][:MOST_CURVES]
    lines = [_curve(job, place) for place, job in enumerate(jobs)]
    panels = curves(lines, [*loss_panels(lines), REWARDS[0], REWARDS[4]])
    legend = [(line.style, line.name) for line in lines if line.named]
    return Picture("Learning curves", _caption(sweep, jobs), panels, legend) if panels else None


def _curve(job: Job, place: int) -> Line:
    named = place < COLOURED
    unfinished = "" if job.state in ("finished", "pruned") else f" ({job.state})"
    return Line(
        name=f"{job.number}: {setting(job)}{unfinished}",
        tip=f"job {job.number} ({job.state}): {setting(job)}",
        rows=json_lines(job.run),
        style=colour(place) if named else GREY,
        named=named,
    )


def _caption(sweep: Sweep, jobs: list[Job]) -> str:
    runs = sum(job.run is not None for job in sweep.jobs)
    ranked = sum(job.ranked for job in jobs[:COLOURED])
    named = f"The {ranked} best by {sweep.objective} are in colour" if ranked else "The first ones are in colour"
    others = ", others grey" if len(jobs) > COLOURED else ""
    left = f"; {runs - len(jobs)} of {runs} runs are left out" if runs > len(jobs) else ""
    grey = " The vertical range is that of the coloured curves: grey ones may leave it." if others else ""
    return f"{named}{others}{left}.{grey}"
