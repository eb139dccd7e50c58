"""Pair accuracy by dimension and by source, every model beside the strongest baseline."""

from typing import TYPE_CHECKING, Any

from edu_align.comparison.models import Comparison, Number
from edu_align.evaluation.suite.summarise import REWARDS
from edu_align.reporting import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PREFIX = "pair_accuracy"
LEFT_OUT = ("dialogue_effect", "no_dialogue")
Looks = dict[str, tuple[str, str]]
Row = dict[tuple[str, str], Number]  # model, scorer -> number


def draw(comparison: Comparison, look: Looks) -> tuple[str, str]:
    """The picture and its caption; an empty picture where there is no pair accuracy."""
    rows = _rows(comparison)
    if not rows:
        return "", "No pair accuracy was measured."
    places = [key for key in _keys(comparison, rows) if key[0] in look]
    tips: dict[str, str] = {}
    with svg.style("parts"):
        figure = svg.new_figure(len(rows) * (0.15 * len(places) + 0.16) + 0.9)
        ax = figure.subplots()
        for at, (name, found) in enumerate(rows.items()):
            for place, key in enumerate(places):
                if key in found:
                    up = at + (place - (len(places) - 1) / 2) * 0.8 / len(places)
                    gid = f"part-{at}-{place}"
                    tips[gid] = _tip(key, name, found[key])
                    _point(ax, up, found[key], look[key[0]], key[1] in REWARDS, gid)
            _rule(ax, at, next(iter(found.values())))
        ax.axvline(0.5, color=svg.INK, linewidth=0.8, linestyle="--")
        ax.set_yticks(range(len(rows)), list(rows))
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0, labelsize=7.5)
        ax.set_xlabel("share of pairs in the order that people gave")
        svg.plain(ax)
        ax.grid(visible=False, axis="y")
        ax.grid(visible=True, axis="x", linewidth=0.5)
        figure.legend(*_legend(places, look), loc="outside upper left", ncols=3)
        text = svg.to_svg(figure, "Pair accuracy by dimension and source", tips)
    return text, (
        "Lines are intervals over groups; dashed is chance; hollow is the implicit reward, filled the mean "
        "log-probability. The bar is the strongest baseline on the same pairs: who wrote it, length, question mark, "
        "overlap, surface features."
    )


def _rows(comparison: Comparison) -> dict[str, Row]:
    """Name for readers -> numbers of every model and scorer."""
    rows: dict[str, Row] = {}
    for name in comparison.names():
        if name.startswith(PREFIX) and not any(part in name for part in LEFT_OUT):
            part, _, scorer = name.partition("/")
            title = part.removeprefix(PREFIX).strip("_").replace("_", " ") or "all"
            rows.setdefault(title, {}).update({(label, scorer): n for label, n in comparison.of(name).items()})
    return rows


def _keys(comparison: Comparison, rows: dict[str, Row]) -> list[tuple[str, str]]:
    """Models in their order; of each the mean log-probability, then implicit rewards."""
    found = {key for row in rows.values() for key in row}
    order = comparison.labels
    return sorted(found, key=lambda key: (order.index(key[0]), key[1] in REWARDS, key[1]))


def _point(ax: "Axes", up: float, number: Number, style: tuple[str, str], hollow: bool, gid: str) -> None:
    colour, marker = style
    if number.low is not None and number.high is not None:
        ax.plot([number.low, number.high], [up, up], color=colour, linewidth=1.4)
    ax.plot(
        [number.value], [up], color=colour, marker=marker, markersize=5, linestyle="", gid=gid,
        markerfacecolor="none" if hollow else colour, markeredgewidth=1.3,
    )  # fmt: skip


def _rule(ax: "Axes", at: int, number: Number) -> None:
    if number.strongest is not None:
        value = number.baselines[number.strongest]
        ax.plot([value, value], [at - 0.42, at + 0.42], color=svg.INK, linewidth=1.6)


def _tip(key: tuple[str, str], name: str, number: Number) -> str:
    return f"{key[0]}, {name}, {key[1]}: {number.value:.3f}, n {number.n} ({number.groups} groups)"


def _legend(places: list[tuple[str, str]], look: Looks) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=look[label][0], marker=look[label][1], markersize=5,
               markerfacecolor="none" if scorer in REWARDS else look[label][0])
        for label, scorer in places
    ]  # fmt: skip
    handles.append(Line2D([], [], color=svg.INK, marker="|", markersize=9, linestyle="", markeredgewidth=1.6))
    names = [f"{label}, {scorer.replace('_', ' ')}" if scorer else label for label, scorer in places]
    return handles, [*names, "strongest baseline"]
