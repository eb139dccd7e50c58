"""The pictures of a report, as far as the sweep has what they show."""

from dataclasses import dataclass

from edu_align.reporting import svg
from edu_align.sweeps.reporting import curves, grids, parallel
from edu_align.sweeps.reporting.importance import BINS, MIN_JOBS, Effect, importance
from edu_align.sweeps.reporting.jobs import Sweep


@dataclass(frozen=True)
class Chart:
    """`svg` is empty where there is nothing to draw and the caption says why."""

    title: str
    svg: str
    caption: str


def charts(sweep: Sweep) -> list[Chart]:
    """Heat map, importance, parallel coordinates and learning curves, as far as the sweep has what they need."""
    found = []
    for title, drawn in (
        ("Two keys", grids.draw(sweep)),
        ("Importance", _importance(sweep)),
        ("Parallel coordinates", parallel.draw(sweep)),
        ("Learning curves", curves.draw(sweep)),
    ):
        if drawn is not None:
            found.append(Chart(title, *drawn))
    return found


def _importance(sweep: Sweep) -> tuple[str, str] | None:
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
    places = range(len(effects))[::-1]
    ax.barh(places, [effect.share for effect in effects], color="#0072b2", height=0.55)
    for place, effect in zip(places, effects, strict=True):
        chance = "p < 0.001" if effect.chance < 0.001 else f"p {effect.chance:.3f}"
        ax.annotate(
            f"{effect.share:.2f}, {chance}", (effect.share, place), (4, 0), textcoords="offset points", va="center"
        )
    ax.set_yticks(places, [effect.key for effect in effects])
    ax.set_xlim(0, 1.3)
    ax.set_xticks([0, 0.5, 1])
    ax.tick_params(axis="y", length=0)
    svg.plain(ax)
    ax.grid(visible=False)
    return svg.to_svg(figure, "Importance of the swept keys")
