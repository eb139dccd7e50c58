"""Learning curves of several runs over each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edu_align.reports.html.charts import Axis, Mark, Panel, axis_over

POINTS = 200  # of one curve; of more, evenly spaced ones are drawn
LOSSES = (  # key in metrics.jsonl, what it is in words
    ("loss", "Training loss"),
    ("eval_loss", "Validation loss"),
)
SHARES = (("mean_token_accuracy", "Word pieces predicted in training", "share of word pieces"),)
REWARDS = (
    ("rewards/margins", "Reward margin in training", "beta x nats a reply"),
    ("eval_rewards/margins", "Reward margin on validation pairs", "beta x nats a reply"),
    ("rewards/chosen", "Reward of chosen replies in training", "beta x nats a reply"),
    ("rewards/rejected", "Reward of rejected replies in training", "beta x nats a reply"),
    ("rewards/accuracies", "Pairs with a positive margin in training", "share of pairs"),
    ("eval_rewards/accuracies", "Pairs with a positive margin in validation", "share of pairs"),
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
    style: str
    named: bool = True


def loss_panels(lines: Sequence[Line]) -> list[tuple[str, str, str]]:
    """The losses with their unit: a pair for runs that log rewards, a word piece for the others."""
    logged = {any("rewards/margins" in row for row in line.rows) for line in lines}
    unit = " or ".join(word for word, of in (("pair", True), ("word piece", False)) if of in logged)
    return [(key, title, f"nats a {unit}") for key, title in LOSSES]


def curves(lines: Sequence[Line], kinds: Sequence[tuple[str, str, str]]) -> list[Panel]:
    """A panel for each key of `kinds` of which some line has logged two values."""
    found = []
    for key, title, unit in kinds:
        drawn = [(line, *series(line.rows, key)) for line in reversed(lines)]
        if max((len(steps) for _, steps, _ in drawn), default=0) > 1:
            shown = [value for line, _, values in drawn if line.named for value in values]
            last = max(step for _, steps, _ in drawn for step in steps)
            marks = [Mark(list(zip(*xy, strict=True)), line.style, line.tip) for line, *xy in drawn if xy[0]]
            found.append(Panel(title, Axis("optimizer steps", 0.0, last), axis_over(unit, shown), marks))
    return found


def series(rows: Sequence[Mapping[str, Any]], key: str) -> Curve:
    """Steps and values of `key`, at most POINTS; of a step that was logged twice (a resumed run), the later one."""
    found = {row["step"]: row[key] for row in rows if isinstance(row.get(key), int | float) and "step" in row}
    steps = sorted(found)
    if len(steps) > POINTS:
        steps = [steps[round(at * (len(steps) - 1) / (POINTS - 1))] for at in range(POINTS)]
    return list(map(float, steps)), [float(found[step]) for step in steps]
