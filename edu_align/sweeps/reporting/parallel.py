"""Parallel coordinates: a line a job through the values of its swept keys to what it reached."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edu_align.reporting import svg
from edu_align.sweeps.reporting.curves import setting
from edu_align.sweeps.reporting.grids import is_number, levels_of, short, spans
from edu_align.sweeps.reporting.jobs import Job, Sweep
from edu_align.sweeps.reporting.table import as_text, number

MOST_KEYS = 7
MOST_JOBS = 300
MOST_LEVELS = 12  # of a key that is no number
MARKED = "#d55e00"  # the best job


@dataclass(frozen=True)
class Axis:
    """`places`: where each job crosses it, 0 (bottom) to 1; `ticks`: place and text of its labels."""

    name: str
    places: list[float]
    ticks: list[tuple[float, str]]


def draw(sweep: Sweep) -> tuple[str, str] | None:
    """The picture and its caption; None below two keys with several values, or two jobs with an objective."""
    jobs = sweep.ranked()[:MOST_JOBS]
    keys = [key for key in sweep.keys if _is_drawn(jobs, key)][:MOST_KEYS]
    if len(keys) < 2 or len(jobs) < 2:
        return None
    axes = [axis(key, [job.values[key] for job in jobs], levels_of(jobs, key)) for key in keys]
    reached = [float(job.objective or 0) for job in jobs]
    axes.append(axis(sweep.objective, reached, sorted(set(reached)), least_ticks=True))
    with svg.style("parallel"):
        text = _picture(sweep, jobs, axes)
    left = len(sweep.ranked()) - len(jobs)
    more = f" The {left} worst are left out." if left else ""
    skipped = [key for key in sweep.keys if key not in keys]
    without = f" Left out: {', '.join(skipped)}." if skipped else ""
    return text, f"A line is a finished job, the best one thick; brighter is better.{more}{without}"


def axis(name: str, values: Sequence[Any], levels: Sequence[Any], least_ticks: bool = False) -> Axis:
    """Numbers at their places, on a logarithmic axis where they span a factor of 20; other values evenly apart."""
    if not all(is_number(value) for value in values):
        names = [as_text(level) for level in levels]
        height = {name: at / max(1, len(names) - 1) for at, name in enumerate(names)}
        return Axis(name, [height[as_text(v)] for v in values], [(height[n], short(n)) for n in names])
    scale = math.log10 if spans(list(values)) else float
    low, high = scale(min(values)), scale(max(values))

    def place(value: float) -> float:
        return (scale(value) - low) / (high - low) if high > low else 0.5

    labelled = list(levels) if len(levels) <= 6 and not least_ticks else [min(values), max(values)]
    return Axis(name, [place(value) for value in values], [(place(v), number(float(v))) for v in labelled])


def _is_drawn(jobs: list[Job], key: str) -> bool:
    if not all(key in job.values for job in jobs):
        return False
    levels = levels_of(jobs, key)
    return len(levels) > 1 and (len(levels) <= MOST_LEVELS or all(map(is_number, levels)))


def _picture(sweep: Sweep, jobs: list[Job], axes: list[Axis]) -> str:
    import matplotlib

    shades = matplotlib.colormaps["viridis"]
    figure = svg.new_figure(3.4)
    ax = figure.subplots()
    tips = {}
    for place in reversed(range(len(jobs))):
        gid = f"line-{place}"
        tips[gid] = f"job {jobs[place].number}: {setting(jobs[place])} -> {number(float(jobs[place].objective or 0))}"
        height = axes[-1].places[place]
        good = 1 - height if sweep.direction == "minimize" else height
        best = place == 0
        ax.plot(
            range(len(axes)),
            [each.places[place] for each in axes],
            color=MARKED if best else shades(0.25 + 0.6 * good),
            linewidth=2.6 if best else 1.0,
            alpha=1.0 if best else 0.65,
            gid=gid,
        )
    for at, each in enumerate(axes):
        ax.axvline(at, color=svg.FAINT, linewidth=1, zorder=1)
        side = "right" if at == len(axes) - 1 else "left"
        for height, text in each.ticks:
            ax.annotate(
                text, (at, height), (5 if side == "left" else -5, 2), textcoords="offset points", ha=side, fontsize=7
            )
        name = each.name.rpartition("." if at < len(axes) - 1 else "/")[2]
        ax.annotate(name, (at, 1.0), (0, 12 + 10 * (at % 2)), textcoords="offset points", ha="center", fontsize=8)
    ax.set(xlim=(-0.25, len(axes) - 0.75), ylim=(-0.03, 1.03))
    ax.axis("off")
    return svg.to_svg(figure, "Parallel coordinates", tips)
