"""The two pictures of a report. Matplotlib is imported inside, with the Agg backend only on the figures made here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = list[dict[str, Any]]
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")  # told apart by colour-blind readers
GREY = "#777777"
LABEL_BOX = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
STYLES = ("--", ":", "-.", (0, (6, 2, 1, 2, 1, 2)), (0, (1, 3)), (0, (9, 3)))
# Panel title, its series (key in metrics.jsonl, label) and unit.
REWARD_PANELS = (
    ("reward margin", (("rewards/margins", "chosen - rejected"),), "beta x nats"),
    (
        "reward accuracy",
        (("rewards/accuracies", "training"), ("eval_rewards/accuracies", "held out")),
        "share of pairs",
    ),
)
LOSS = (("loss", "training"), ("eval_loss", "held out"))


@dataclass(frozen=True)
class Panel:
    """Metrics on one scale. `metrics`: label to one measured dict (value, low, high) a stage, None where missing.

    `baselines`: name to value on the same items; `unit`: label of the vertical axis.
    """

    title: str
    unit: str
    metrics: Mapping[str, Sequence[dict[str, Any] | None]]
    baselines: Mapping[str, float]


def plot_curves(path: Path, histories: Mapping[str, History]) -> Path | None:
    """Loss over optimizer steps for every stage, and reward margin and accuracy for those that log rewards.

    `histories`: stage label to the lines of metrics.jsonl. Returns None, and writes nothing, where no line has a loss.
    """
    panels = [(label, title, series, unit) for label in histories for title, series, unit in _panels(histories[label])]
    if not panels:
        return None
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    figure = _figure(5.0 * columns, 3.2 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for ax, (label, title, series, unit) in zip(axes, panels, strict=False):
        for colour, (key, name) in zip(COLOURS, series, strict=False):
            steps, values = _series(histories[label], key)
            if steps:
                ax.plot(steps, values, color=colour, label=name, linewidth=1.4, marker="o" if len(steps) < 15 else "")
        ax.set(title=f"{label}: {title}", xlabel="optimizer step", ylabel=unit)
        if title == "reward accuracy":
            ax.axhline(0.5, color=GREY, linestyle="--", linewidth=1, label="chance")
        _tidy(ax)
        ax.legend(frameon=False, fontsize=8)
    for ax in axes[len(panels) :]:
        ax.remove()
    return _save(figure, path)


def plot_before_after(path: Path, panels: Sequence[Panel], stages: Sequence[str]) -> Path:
    """Every metric at every stage with its interval, and baselines as lines; `panels` has at least one."""
    figure = _figure(10.0, 3.8 * len(panels))
    axes = figure.subplots(len(panels), 1, squeeze=False).flatten()
    for ax, panel in zip(axes, panels, strict=True):
        for index, stage in enumerate(stages):
            shift = 0.4 * (index - (len(stages) - 1) / 2) / max(1, len(stages) - 1)
            rows = enumerate(panel.metrics.values())
            points = [(at + shift, entry) for at, row in rows if (entry := row[index]) is not None]
            _error_bars(ax, points, COLOURS[index % len(COLOURS)], stage)
        handles = list(ax.get_legend_handles_labels()[0])
        ordered = sorted(panel.baselines.items(), key=lambda item: -item[1])
        for index, (name, value) in enumerate(ordered):
            style = STYLES[index % len(STYLES)]
            label = f"{name.replace('_', ' ')} {value:.2f}"
            handles.append(ax.axhline(value, color=GREY, linestyle=style, linewidth=1, label=label, zorder=0))
        ax.set(title=panel.title, ylabel=panel.unit, xlim=(-0.5, len(panel.metrics) - 0.5))
        ax.set_xticks(range(len(panel.metrics)), list(panel.metrics))
        _tidy(ax)
        ax.legend(handles=handles, frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _save(figure, path)


def _panels(history: History) -> list[tuple[str, tuple[tuple[str, str], ...], str]]:
    keys = {key for line in history for key, value in line.items() if value is not None}
    found = [("loss", LOSS, "nats")] if keys & {"loss", "eval_loss"} else []
    return found + [panel for panel in REWARD_PANELS if keys & {key for key, _ in panel[1]}]


def _series(history: History, key: str) -> tuple[list[float], list[float]]:
    points = [(line["step"], line[key]) for line in history if line.get(key) is not None and "step" in line]
    return [step for step, _ in points], [value for _, value in points]


def _error_bars(ax: "Axes", points: Sequence[tuple[float, Any]], colour: str, label: str) -> None:
    if not points:
        return
    values = [entry["value"] for _, entry in points]
    below = [entry["value"] - entry["low"] if entry["low"] is not None else 0.0 for _, entry in points]
    above = [entry["high"] - entry["value"] if entry["high"] is not None else 0.0 for _, entry in points]
    ax.errorbar(
        [at for at, _ in points],
        values,
        yerr=[below, above],
        fmt="o",
        color=colour,
        capsize=4,
        label=label,
        markersize=6,
    )
    for (at, _), value in zip(points, values, strict=True):
        ax.annotate(
            f"{value:.2f}",
            (at, value),
            xytext=(7, 0),
            textcoords="offset points",
            fontsize=8,
            va="center",
            bbox=LABEL_BOX,
        )


def _figure(width: float, height: float) -> "Figure":
    """A figure of `width` x `height` inches that belongs to no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _tidy(ax: "Axes") -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", alpha=0.25)


def _save(figure: "Figure", path: Path) -> Path:
    figure.savefig(path, dpi=130)
    return path
