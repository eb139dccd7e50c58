"""The objective over exactly two swept keys: a heat map, or points where the values form no grid."""

import math
from typing import Any

from edu_align.reporting import svg
from edu_align.sweeps.reporting.jobs import Job, Sweep
from edu_align.sweeps.reporting.seeds import SEED
from edu_align.sweeps.reporting.table import as_text, number

MOST_LEVELS = 12  # distinct values of a key, beyond which points are drawn
LABEL = 12  # characters of a level's label


def draw(sweep: Sweep) -> tuple[str, str] | None:
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
            return (
                text,
                f"{sweep.objective}; brighter is better ({better}).{seeds} Words stand where there is no value.",
            )
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


def short(value: Any) -> str:
    text = as_text(value)
    return text if len(text) <= LABEL else f"{text[: LABEL - 1]}…"


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
        _write(ax, place, grid[place], jobs, mesh)
    ax.set(xlabel=keys[0], ylabel=keys[1])
    ax.set_xticks([at + 0.5 for at in range(len(levels[0]))], [short(value) for value in levels[0]])
    ax.set_yticks([at + 0.5 for at in range(len(levels[1]))], [short(value) for value in levels[1]])
    ax.tick_params(length=0)
    if len(levels[0]) > 6:
        ax.tick_params(axis="x", labelrotation=45)
    return svg.to_svg(figure, f"{sweep.objective} over {keys[0]} and {keys[1]}")


def _write(ax: Any, place: tuple[int, int], value: float, jobs: list[Job], mesh: Any) -> None:
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
