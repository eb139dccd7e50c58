"""Leak rate against question rate: whether a model stopped telling answers by asking, or by saying nothing."""

from typing import TYPE_CHECKING

from edu_align.comparison.models import Comparison, Number
from edu_align.reporting import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAKS = ("leak_rate",)
ASKS = ("guidance_rate", "question_rate")
HUMAN = "human tutor"
Looks = dict[str, tuple[str, str]]


def draw(comparison: Comparison, look: Looks) -> tuple[str, str]:
    """The picture and its caption; an empty picture where one of the two rates was not measured."""
    leak, ask = _name(comparison, LEAKS), _name(comparison, ASKS)
    if leak is None or ask is None:
        missing = " and ".join(name for name, found in ((LEAKS[0], leak), (ASKS[-1], ask)) if found is None)
        return "", f"Not measured here: {missing}."
    leaks, asks = comparison.of(leak), comparison.of(ask)
    tips: dict[str, str] = {}
    with svg.style("trade-off"):
        figure = svg.new_figure(3.7)
        ax = figure.subplots()
        for place, label in enumerate(label for label in look if label in leaks and label in asks):
            _cross(ax, asks[label], leaks[label], *look[label], f"rate-{place}", tips)
        across, up = _human(asks), _human(leaks)
        if across is not None and up is not None:
            ax.plot([across], [up], marker="*", markersize=12, linestyle="", color=svg.INK, label=HUMAN, gid="human")
            tips["human"] = f"{HUMAN}: {ask} {across:.3f}, {leak} {up:.3f}"
        elif across is not None:
            ax.axvline(across, color=svg.INK, linewidth=1, linestyle=":", label=f"{HUMAN}, {ask}")
        ax.set(xlabel=f"{ask}, share of replies", ylabel=f"{leak}, share of replies")
        ax.set_xlim(-0.03, 1.03)
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
        svg.plain(ax)
        figure.legend(loc="outside upper left", ncols=3)
        text = svg.to_svg(figure, "Leak rate against question rate", tips)
    return text, (
        'Low is fewer answers given away, right is more questions. A constant "please recheck" lies at the lower '
        "left: it leaks nothing and helps nobody. Crosses are intervals over groups; the two rates count different "
        "prompts (leaks: only where the answer is known and not in the dialogue)."
    )


def _name(comparison: Comparison, wanted: tuple[str, ...]) -> str | None:
    names = comparison.names()
    return next((name for want in wanted for name in names if name == want or name.endswith(f"/{want}")), None)


def _human(numbers: dict[str, Number]) -> float | None:
    return next((n.baselines[HUMAN] for n in numbers.values() if HUMAN in n.baselines), None)


def _cross(ax: "Axes", across: Number, up: Number, colour: str, marker: str, gid: str, tips: dict[str, str]) -> None:
    tips[gid] = f"{across.label}: {across.name} {across.value:.3f}, {up.name} {up.value:.3f}"
    if across.low is not None and across.high is not None:
        ax.plot([across.low, across.high], [up.value, up.value], color=colour, linewidth=1.2)
    if up.low is not None and up.high is not None:
        ax.plot([across.value, across.value], [up.low, up.high], color=colour, linewidth=1.2)
    ax.plot(
        [across.value], [up.value], color=colour, marker=marker, markersize=7, linestyle="", label=across.label, gid=gid
    )
