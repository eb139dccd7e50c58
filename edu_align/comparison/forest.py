"""Forest plot: every paired difference to the base model with its interval, a panel for each unit."""

from typing import TYPE_CHECKING, Any

from edu_align.comparison.models import Comparison, Gap
from edu_align.comparison.tables import gap_text
from edu_align.reporting import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 0.2  # inches of one model's row
Looks = dict[str, tuple[str, str]]
Row = tuple[str, str, dict[str, Gap]]  # number, which way is better, model -> difference


def draw(comparison: Comparison, look: Looks) -> tuple[str, str]:
    """The picture and its caption; an empty picture where nothing was compared with a base."""
    by_unit: dict[str, list[Row]] = {}
    for name in comparison.names():
        found = comparison.of(name)
        gaps = {label: number.to_base for label, number in found.items() if number.to_base is not None}
        if gaps:
            first = next(iter(found.values()))
            by_unit.setdefault(first.unit or "number", []).append((name, first.better, gaps))
    if not by_unit:
        return "", "No run here has a base model that was measured on the same items."
    labels = [label for label in look if any(label in gaps for rows in by_unit.values() for _, _, gaps in rows)]
    heights = [len(rows) * (ROW * len(labels) + 0.1) + 0.6 for rows in by_unit.values()]
    tips: dict[str, str] = {}
    with svg.style("forest"):
        figure = svg.new_figure(sum(heights) + 0.4)
        axes = figure.subplots(len(by_unit), 1, squeeze=False, height_ratios=heights).flatten()
        for place, (ax, (unit, rows)) in enumerate(zip(axes, by_unit.items(), strict=True)):
            _panel(ax, rows, labels, look, f"{place}", tips, comparison.level)
            ax.set_xlabel(f"difference to base, {unit}")
        handles = [_handle(label, look[label]) for label in labels]
        figure.legend(handles, labels, loc="outside upper left", ncols=min(3, len(labels)))
        text = svg.to_svg(figure, "Paired differences to the base model", tips)
    return text, (
        "Filled: the interval excludes 0; hollow: it does not. (+) more is better, (-) less is better, none: neither. "
        "Whether a filled one survives the number of tests is in the table (**)."
    )


def _panel(
    ax: "Axes", rows: list[Row], labels: list[str], look: Looks, panel: str, tips: dict[str, str], level: float
) -> None:
    step = 1.0 / (len(labels) + 0.6)
    for at, (name, better, gaps) in enumerate(rows):
        for place, label in enumerate(labels):
            gap = gaps.get(label)
            if gap is None:
                continue
            up = at + (place - (len(labels) - 1) / 2) * step
            colour, marker = look[label]
            gid = f"gap-{panel}-{at}-{place}"
            tips[gid] = f"{label}, {name}: {gap_text(gap, better, level)}"
            if gap.low is not None and gap.high is not None:
                ax.plot([gap.low, gap.high], [up, up], color=colour, linewidth=1.6, solid_capstyle="butt")
            ax.plot(
                [gap.value], [up], color=colour, marker=marker, markersize=5, linestyle="", gid=gid,
                markerfacecolor=colour if gap.excludes_0 else "none", markeredgewidth=1.3,
            )  # fmt: skip
    ax.axvline(0, color=svg.INK, linewidth=0.8)
    signs = {"higher": " (+)", "lower": " (-)"}
    ax.set_yticks(range(len(rows)), [f"{_short(name)}{signs.get(better, '')}" for name, better, _ in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0, labelsize=7.5)
    svg.plain(ax)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x", linewidth=0.5)
    if len(labels) > 1:
        for at in range(1, len(rows)):
            ax.axhline(at - 0.5, color=svg.FAINT, linewidth=0.4)


def _short(name: str, most: int = 44) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _handle(label: str, style: tuple[str, str]) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=style[0], marker=style[1], markersize=5, label=label)
