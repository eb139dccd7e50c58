"""Pair accuracy by dimension and by source, every model beside the strongest rule that reads no mathematics."""

from typing import TYPE_CHECKING

from edu_align.comparison.models import Comparison, Number
from edu_align.reporting import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PREFIX = "pair_accuracy"
LEFT_OUT = ("dialogue_effect", "no_dialogue")
Looks = dict[str, tuple[str, str]]


def draw(comparison: Comparison, look: Looks) -> tuple[str, str]:
    """The picture and its caption; an empty picture where there is no pair accuracy."""
    rows = _rows(comparison)
    if not rows:
        return "", "No pair accuracy was measured."
    labels = [label for label in look if any(label in found for found in rows.values())]
    tips: dict[str, str] = {}
    step = 0.8 / max(1, len(labels))
    with svg.style("parts"):
        figure = svg.new_figure(len(rows) * (0.2 * len(labels) + 0.14) + 0.9)
        ax = figure.subplots()
        for at, (name, found) in enumerate(rows.items()):
            for place, label in enumerate(labels):
                if label in found:
                    number, (colour, marker) = found[label], look[label]
                    up, gid = at + (place - (len(labels) - 1) / 2) * step, f"part-{at}-{place}"
                    tips[gid] = f"{label}, {name}: {number.value:.3f}, n {number.n} ({number.groups} groups)"
                    if number.low is not None and number.high is not None:
                        ax.plot([number.low, number.high], [up, up], color=colour, linewidth=1.6)
                    ax.plot([number.value], [up], color=colour, marker=marker, markersize=5, linestyle="", gid=gid)
            _rule(ax, at, next(iter(found.values())))
        ax.axvline(0.5, color=svg.FAINT, linewidth=1, linestyle="--")
        ax.set_yticks(range(len(rows)), list(rows))
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0, labelsize=7.5)
        ax.set_xlabel("share of pairs in the order that people gave")
        svg.plain(ax)
        ax.grid(visible=False, axis="y")
        ax.grid(visible=True, axis="x", linewidth=0.5)
        from matplotlib.lines import Line2D

        handles = [Line2D([], [], color=look[one][0], marker=look[one][1], markersize=5) for one in labels]
        handles.append(Line2D([], [], color=svg.INK, marker="|", markersize=9, linestyle="", markeredgewidth=1.6))
        figure.legend(handles, [*labels, "strongest rule"], loc="outside upper left", ncols=3)
        text = svg.to_svg(figure, "Pair accuracy by dimension and source", tips)
    return text, (
        "Lines are intervals over groups; dashed is chance. The bar is the strongest rule on the same pairs (who wrote "
        "it, length, question mark, overlap, surface features). Base models have no implicit reward."
    )


def _rows(comparison: Comparison) -> dict[str, dict[str, Number]]:
    """Name for readers -> model -> number: the plain parts, the mean log-probability before the implicit reward."""
    names = [name for name in comparison.names() if name.startswith(PREFIX)]
    names = [name for name in names if not any(part in name for part in LEFT_OUT)]
    found = {}
    for name in sorted(names, key=lambda name: name.endswith("/implicit")):
        part, _, scorer = name.partition("/")
        title = part.removeprefix(PREFIX).strip("_").replace("_", " ") or "all"
        found[f"{title}, {scorer.replace('_', ' ')}" if scorer else title] = comparison.of(name)
    return found


def _rule(ax: "Axes", at: int, number: Number) -> None:
    if number.strongest is not None:
        value = number.baselines[number.strongest]
        ax.plot([value, value], [at - 0.42, at + 0.42], color=svg.INK, linewidth=1.6)
