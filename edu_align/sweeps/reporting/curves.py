"""Learning curves of a sweep's jobs over each other."""

from collections.abc import Sequence
from typing import Any

from edu_align.evaluation.plots import COLOURS, GREY
from edu_align.sweeps.reporting import svg
from edu_align.sweeps.reporting.jobs import Job, Sweep
from edu_align.sweeps.reporting.reading import history
from edu_align.sweeps.reporting.table import as_text

NAMED = len(COLOURS)  # best jobs that get a colour
MOST = 36  # curves in one picture, the named ones included
LEGEND_TEXT = 84  # characters of one curve's name
POINTS = 200  # of one curve; of more, evenly spaced ones are drawn
PANELS = (  # key in metrics.jsonl, title, unit
    ("loss", "training loss", "nats"),
    ("eval_loss", "validation loss", "nats"),
    ("rewards/margins", "reward margin in training", "beta x nats"),
    ("rewards/accuracies", "reward accuracy in training", "share of pairs"),
)
Curve = tuple[list[float], list[float]]


def draw(sweep: Sweep) -> tuple[str, str] | None:
    """The picture and its caption; None where no job has logged anything yet."""
    jobs = [job for job in sweep.ordered() if job.run is not None][:MOST]
    lines = {job.number: history(job) for job in jobs}
    panels = []
    for key, title, unit in PANELS:
        curves = {number: curve for number, rows in lines.items() if len((curve := series(rows, key))[0])}
        if curves:
            panels.append((title, unit, curves))
    if not panels:
        return None
    tips: dict[str, str] = {}
    with svg.style("curves"):
        figure = svg.new_figure(2.5 * len(panels) + 0.3)
        axes = figure.subplots(len(panels), 1, squeeze=False).flatten()
        for place, (ax, (title, unit, curves)) in enumerate(zip(axes, panels, strict=True)):
            _panel(ax, jobs, curves, place, tips)
            ax.set(title=title, ylabel=unit)
        axes[-1].set_xlabel("optimizer step")
        handles, labels = axes[0].get_legend_handles_labels()
        columns = 2 if max(map(len, labels), default=0) <= LEGEND_TEXT // 2 else 1
        figure.legend(handles[::-1], labels[::-1], loc="outside lower left", ncols=columns)
        text = svg.to_svg(figure, "Learning curves", tips)
    return text, _caption(sweep, jobs)


def series(rows: Sequence[dict[str, Any]], key: str) -> Curve:
    """Steps and values of `key`, at most POINTS; of a step that was logged twice (a resumed run), the later one."""
    found = {row["step"]: row[key] for row in rows if isinstance(row.get(key), int | float) and "step" in row}
    steps = sorted(found)
    if len(steps) > POINTS:
        steps = [steps[round(at * (len(steps) - 1) / (POINTS - 1))] for at in range(POINTS)]
    return list(map(float, steps)), [float(found[step]) for step in steps]


def _panel(ax: Any, jobs: list[Job], curves: dict[int, Curve], panel: int, tips: dict[str, str]) -> None:
    named = []
    for place, job in reversed(list(enumerate(jobs))):
        if job.number not in curves:
            continue
        steps, values = curves[job.number]
        top = place < NAMED
        named += values if top else []
        gid = f"curve-{panel}-{job.number}"
        tips[gid] = f"job {job.number} ({job.state}): {setting(job)}"
        ax.plot(
            steps,
            values,
            color=COLOURS[place] if top else GREY,
            alpha=1.0 if top else 0.4,
            linewidth=1.5 if top else 0.8,
            linestyle="-" if job.state in ("finished", "pruned") else "--",
            marker="o" if len(steps) < 3 else "",
            markersize=3,
            label=f"{job.number}: {setting(job)}"[:LEGEND_TEXT] if top else None,
            gid=gid,
            zorder=3 if top else 2,
        )
    finite = sorted(value for value in named if abs(value) < float("inf"))
    if finite and finite[-1] > finite[0]:
        room = 0.06 * (finite[-1] - finite[0])
        ax.set_ylim(finite[0] - room, finite[-1] + room)
    svg.plain(ax)
    ax.margins(x=0.02)


def setting(job: Job) -> str:
    """`beta=0.1, learning_rate=0.0002`: the swept values, each key by its last part."""
    return ", ".join(f"{key.rpartition('.')[2]}={as_text(value)}" for key, value in job.values.items())


def _caption(sweep: Sweep, jobs: list[Job]) -> str:
    runs = sum(job.run is not None for job in sweep.jobs)
    ranked = sum(job.ranked for job in jobs[:NAMED])
    named = f"The {ranked} best by {sweep.objective} are in colour" if ranked else "The first ones are in colour"
    left = f"; {runs - len(jobs)} of {runs} runs are left out" if runs > len(jobs) else ""
    return (
        f"{named}, others grey, unfinished ones dashed{left}. The vertical range is that of the coloured curves: grey "
        "ones may leave it."
    )
