"""Learning curves of several runs over each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edu_align.reports.html import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes


POINTS = 200  # of one curve; of more, evenly spaced ones are drawn
LEGEND_TEXT = 84  # characters of one curve's name
PANELS = (  # key in metrics.jsonl, title, unit
    ("loss", "training loss", "nats"),
    ("eval_loss", "validation loss", "nats"),
    ("rewards/margins", "reward margin in training", "beta x nats"),
    ("rewards/accuracies", "reward accuracy in training", "share of pairs"),
)
Curve = tuple[list[float], list[float]]


@dataclass(frozen=True)
class Line:
    """One run: `rows` are the lines of its metrics.jsonl, `tip` its tooltip.

    A `named` line is in front, in the legend, and sets the vertical range with the other named ones.
    """

    name: str
    tip: str
    rows: Sequence[Mapping[str, Any]]
    colour: str
    named: bool = True
    dashed: bool = False


def draw(lines: Sequence[Line], label: str = "Learning curves", panels: Sequence[tuple[str, str, str]] = PANELS) -> str:
    """A panel for each key of `panels` that some line has logged, as SVG; empty where none has."""
    shown = []
    for key, title, unit in panels:
        curves = [series(line.rows, key) for line in lines]
        if any(steps for steps, _ in curves):
            shown.append((title, unit, curves))
    if not shown:
        return ""
    tips: dict[str, str] = {}
    with svg.style(label):
        figure = svg.new_figure(2.5 * len(shown) + 0.3)
        axes = figure.subplots(len(shown), 1, squeeze=False).flatten()
        handles: dict[str, Any] = {}
        for place, (ax, (title, unit, curves)) in enumerate(zip(axes, shown, strict=True)):
            _panel(ax, lines, curves, place, tips)
            ax.set(title=title, ylabel=unit)
            for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
                handles.setdefault(name, handle)
        axes[-1].set_xlabel("optimizer step")
        ordered = [line.name[:LEGEND_TEXT] for line in lines if line.name[:LEGEND_TEXT] in handles]
        columns = 2 if max(map(len, ordered), default=0) <= LEGEND_TEXT // 2 else 1
        figure.legend([handles[name] for name in ordered], ordered, loc="outside lower left", ncols=columns)
        return svg.to_svg(figure, label, tips)


def series(rows: Sequence[Mapping[str, Any]], key: str) -> Curve:
    """Steps and values of `key`, at most POINTS; of a step that was logged twice (a resumed run), the later one."""
    found = {row["step"]: row[key] for row in rows if isinstance(row.get(key), int | float) and "step" in row}
    steps = sorted(found)
    if len(steps) > POINTS:
        steps = [steps[round(at * (len(steps) - 1) / (POINTS - 1))] for at in range(POINTS)]
    return list(map(float, steps)), [float(found[step]) for step in steps]


def _panel(ax: "Axes", lines: Sequence[Line], curves: Sequence[Curve], panel: int, tips: dict[str, str]) -> None:
    in_front = []
    for place in reversed(range(len(lines))):
        line, (steps, values) = lines[place], curves[place]
        if not steps:
            continue
        in_front += values if line.named else []
        gid = f"curve-{panel}-{place}"
        tips[gid] = line.tip
        ax.plot(
            steps,
            values,
            color=line.colour,
            alpha=1.0 if line.named else 0.4,
            linewidth=1.5 if line.named else 0.8,
            linestyle="--" if line.dashed else "-",
            marker="o" if len(steps) < 3 else "",
            markersize=3,
            label=line.name[:LEGEND_TEXT] if line.named else None,
            gid=gid,
            zorder=3 if line.named else 2,
        )
    finite = sorted(value for value in in_front if abs(value) < float("inf"))
    if finite and finite[-1] > finite[0]:
        room = 0.06 * (finite[-1] - finite[0])
        ax.set_ylim(finite[0] - room, finite[-1] + room)
    svg.plain(ax)
    ax.margins(x=0.02)
