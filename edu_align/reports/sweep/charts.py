"""The pictures of a sweep's report, as far as the sweep has what they show."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edu_align.reports.html import svg
from edu_align.reports.html.curves import Line
from edu_align.reports.html.curves import draw as draw_lines
from edu_align.reports.html.page import json_lines
from edu_align.reports.html.svg import COLOURS, GREY, Picture
from edu_align.reports.sweep.importance import BINS, MIN_JOBS, Effect, importance
from edu_align.reports.sweep.reading import Job, Sweep
from edu_align.reports.sweep.table import SEED, as_text, number


def pictures(sweep: Sweep) -> list[Picture]:
    """Heat map, importance, parallel coordinates and learning curves, as far as the sweep has what they need."""
    found = []
    for title, drawn in (
        ("Two keys", heat_map(sweep)),
        ("Importance", _importance_bars(sweep)),
        ("Parallel coordinates", parallel_coordinates(sweep)),
        ("Learning curves", learning_curves(sweep)),
    ):
        if drawn is not None:
            found.append(Picture(title, *drawn))
    return found


def _importance_bars(sweep: Sweep) -> tuple[str, str] | None:
    if not sweep.keys:
        return None
    finished = len(sweep.ranked())
    if finished < MIN_JOBS:
        return "", f"It takes {MIN_JOBS} finished jobs to say which keys matter; there are {finished}."
    effects = importance(sweep)
    if not effects:
        return "", "No key takes several values in several jobs, or all jobs reached the same."
    guided = (
        " TPE tried the better values more often, which hides part of a key's effect." if sweep.sampler == "tpe" else ""
    )
    with svg.style("importance"):
        text = _bars(effects)
    return text, (
        f"Share of the variance of the {finished} jobs' ranks in {sweep.objective} that a key accounts for on its own "
        "(Kruskal-Wallis, epsilon squared: about 0 where it does nothing, 1 where it decides all), and p, how often "
        f"shuffled jobs give as much. Numbers with many values are cut into {BINS} parts. What keys do together is in "
        f"no bar.{guided}"
    )


def _bars(effects: list[Effect]) -> str:
    figure = svg.new_figure(0.5 + 0.34 * len(effects))
    ax = figure.subplots()
    ax.barh(range(len(effects)), [effect.share for effect in effects], color=COLOURS[0], height=0.55)
    for at, effect in enumerate(effects):
        chance = "p < 0.001" if effect.chance < 0.001 else f"p {effect.chance:.3f}"
        label = f"{effect.share:.2f}, {chance}"
        ax.annotate(label, (effect.share, at), (4, 0), textcoords="offset points", va="center")
    svg.named_rows(ax, [effect.key for effect in effects])
    svg.plain(ax, "")
    ax.set_xlim(0, 1.3)
    ax.set_xticks([0, 0.5, 1])
    return svg.to_svg(figure, "Importance of the swept keys")


MOST_LEVELS = 12  # distinct values of a key, beyond which points are drawn
LABEL = 12  # characters of a level's label


def heat_map(sweep: Sweep) -> tuple[str, str] | None:
    """The picture and its caption; None unless two keys besides the seed were swept, and some job has an objective."""
    keys = [key for key in sweep.keys if key != SEED]
    ranked = sweep.ranked()
    if len(keys) != 2 or not ranked:
        return None
    levels = [levels_of(sweep.jobs, key) for key in keys]
    seeds = " Cells are means over seeds." if SEED in sweep.keys else ""
    better = "less" if sweep.direction == "minimize" else "more"
    with svg.style("grid"):
        if max(map(len, levels)) <= MOST_LEVELS:
            text = _cells(sweep, keys, levels)
            caption = f"{sweep.objective}; brighter is better ({better}).{seeds} Words stand where there is no value."
            return text, caption
        if all(is_number(value) for each in levels for value in each):
            text = _points(ranked, keys, sweep)
            return text, f"{sweep.objective} of each finished job; brighter is better ({better})."
    return None


def levels_of(jobs: list[Job], key: str) -> list[Any]:
    """The values of a key, numbers in their order and anything else as it came."""
    found: dict[str, Any] = {}
    for job in jobs:
        if key in job.values:
            found.setdefault(as_text(job.values[key]), job.values[key])
    values = list(found.values())
    return sorted(values) if all(is_number(value) for value in values) else values


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def spans(values: list[float]) -> bool:
    """Whether a logarithmic axis serves: all above 0, and the largest at least 20 times the smallest."""
    return min(values) > 0 and max(values) >= 20 * min(values)


def _label(value: Any) -> str:
    return svg.shorten(as_text(value), LABEL)


def _cells(sweep: Sweep, keys: list[str], levels: list[list[Any]]) -> str:
    import numpy as np

    names = [[as_text(value) for value in each] for each in levels]
    held: dict[tuple[int, int], list[Job]] = {}
    for job in sweep.jobs:
        if all(key in job.values for key in keys):
            across, up = (names[i].index(as_text(job.values[keys[i]])) for i in (0, 1))
            held.setdefault((up, across), []).append(job)
    grid = np.full((len(levels[1]), len(levels[0])), np.nan)
    for place, jobs in held.items():
        reached = [job.objective for job in jobs if job.ranked and job.objective is not None]
        if reached:
            grid[place] = sum(reached) / len(reached)
    figure = svg.new_figure(0.9 + 0.42 * len(levels[1]))
    ax = figure.subplots()
    shades = "viridis_r" if sweep.direction == "minimize" else "viridis"
    ax.set_facecolor("none")
    mesh = ax.pcolormesh(np.ma.masked_invalid(grid), cmap=shades, edgecolors="none")
    for place, jobs in held.items():
        _cell_text(ax, place, grid[place], jobs, mesh)
    ax.set(xlabel=keys[0], ylabel=keys[1])
    ax.set_xticks([at + 0.5 for at in range(len(levels[0]))], [_label(value) for value in levels[0]])
    ax.set_yticks([at + 0.5 for at in range(len(levels[1]))], [_label(value) for value in levels[1]])
    ax.tick_params(length=0)
    if len(levels[0]) > 6:
        ax.tick_params(axis="x", labelrotation=45)
    return svg.to_svg(figure, f"{sweep.objective} over {keys[0]} and {keys[1]}")


def _cell_text(ax: Any, place: tuple[int, int], value: float, jobs: list[Job], mesh: Any) -> None:
    """The value, or the state of a job without one, in its cell."""
    up, across = place
    if math.isnan(value):
        ax.text(across + 0.5, up + 0.5, jobs[0].state, ha="center", va="center", fontsize=7)
        return
    red, green, blue, _ = mesh.cmap(mesh.norm(value))
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
    text = number(value)
    ax.text(across + 0.5, up + 0.5, text, ha="center", va="center", fontsize=8, color="#ffffff" if dark else "#000000")


def _points(jobs: list[Job], keys: list[str], sweep: Sweep) -> str:
    across, up = ([float(job.values[key]) for job in jobs] for key in keys)
    figure = svg.new_figure(3.6)
    ax = figure.subplots()
    shades = "viridis_r" if sweep.direction == "minimize" else "viridis"
    dots = ax.scatter(
        across, up, c=[float(job.objective or 0) for job in jobs], cmap=shades, s=34, edgecolors=svg.INK, linewidths=0.4
    )
    ax.set(xlabel=keys[0], ylabel=keys[1])
    if spans(across):
        ax.set_xscale("log")
    if spans(up):
        ax.set_yscale("log")
    svg.plain(ax)
    bar = figure.colorbar(dots, ax=ax)
    bar.outline.set_visible(False)
    return svg.to_svg(figure, f"{sweep.objective} over {keys[0]} and {keys[1]}")


MOST_KEYS = 7
MOST_JOBS = 300
MARKED = "#d55e00"  # the best job


@dataclass(frozen=True)
class Axis:
    """`places`: where each job crosses it, 0 (bottom) to 1; `ticks`: place and text of its labels."""

    name: str
    places: list[float]
    ticks: list[tuple[float, str]]


def parallel_coordinates(sweep: Sweep) -> tuple[str, str] | None:
    """The picture and its caption; None below two keys with several values, or two jobs with an objective."""
    jobs = sweep.ranked()[:MOST_JOBS]
    keys = [key for key in sweep.keys if _is_drawn(jobs, key)][:MOST_KEYS]
    if len(keys) < 2 or len(jobs) < 2:
        return None
    axes = [axis(key, [job.values[key] for job in jobs], levels_of(jobs, key)) for key in keys]
    reached = [float(job.objective or 0) for job in jobs]
    axes.append(axis(sweep.objective, reached, sorted(set(reached)), least_ticks=True))
    with svg.style("parallel"):
        text = _parallel_lines(sweep, jobs, axes)
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
        return Axis(name, [height[as_text(v)] for v in values], [(height[n], _label(n)) for n in names])
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


def _parallel_lines(sweep: Sweep, jobs: list[Job], axes: list[Axis]) -> str:
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


COLOURED = len(COLOURS)  # best jobs that get a colour
MOST_CURVES = 36  # curves in one picture, the named ones included


def learning_curves(sweep: Sweep) -> tuple[str, str] | None:
    """The picture and its caption; None where no job has logged anything yet."""
    jobs = [job for job in sweep.ordered() if job.run is not None][:MOST_CURVES]
    text = draw_lines([_curve(job, place) for place, job in enumerate(jobs)])
    return (text, _caption(sweep, jobs)) if text else None


def _curve(job: Job, place: int) -> Line:
    named = place < COLOURED
    return Line(
        name=f"{job.number}: {setting(job)}",
        tip=f"job {job.number} ({job.state}): {setting(job)}",
        rows=json_lines(job.run),
        colour=COLOURS[place] if named else GREY,
        named=named,
        dashed=job.state not in ("finished", "pruned"),
    )


def setting(job: Job) -> str:
    """`beta=0.1, learning_rate=0.0002`: the swept values, each key by its last part."""
    return ", ".join(f"{key.rpartition('.')[2]}={as_text(value)}" for key, value in job.values.items())


def _caption(sweep: Sweep, jobs: list[Job]) -> str:
    runs = sum(job.run is not None for job in sweep.jobs)
    ranked = sum(job.ranked for job in jobs[:COLOURED])
    named = f"The {ranked} best by {sweep.objective} are in colour" if ranked else "The first ones are in colour"
    left = f"; {runs - len(jobs)} of {runs} runs are left out" if runs > len(jobs) else ""
    return (
        f"{named}, others grey, unfinished ones dashed{left}. The vertical range is that of the coloured curves: grey "
        "ones may leave it."
    )
