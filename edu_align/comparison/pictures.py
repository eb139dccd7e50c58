"""The pictures of a comparison, as far as it has what they show."""

from dataclasses import dataclass

from edu_align.comparison import forest, parts, trade_off
from edu_align.comparison.models import Comparison
from edu_align.evaluation.plots import COLOURS
from edu_align.reporting.curves import Line, draw
from edu_align.reporting.files import history

MARKERS = ("o", "s", "^", "D", "v", "P")
LOSSES = (
    ("loss", "training loss", "nats"),
    ("eval_loss", "validation loss", "nats"),
    ("mean_token_accuracy", "tokens predicted in training", "share of tokens"),
)
REWARDS = (
    ("rewards/margins", "reward margin in training", "beta x nats"),
    ("eval_rewards/margins", "reward margin on validation pairs", "beta x nats"),
    ("rewards/chosen", "implicit reward of chosen replies, training", "beta x nats"),
    ("rewards/rejected", "implicit reward of rejected replies, training", "beta x nats"),
    ("rewards/accuracies", "reward accuracy in training", "share of pairs"),
    ("eval_rewards/accuracies", "reward accuracy on validation pairs", "share of pairs"),
)
CAPTIONS = {
    "sft": "Nats per trained token.",
    "dpo": "DPO's loss is ln 2 = 0.693 before the first step; it does not compare with a loss per token.",
}


@dataclass(frozen=True)
class Picture:
    """`svg` is empty where there is nothing to draw and the caption says why."""

    title: str
    svg: str
    caption: str


def styles(comparison: Comparison) -> dict[str, tuple[str, str]]:
    """Colour and marker of every model, the same in all pictures; told apart without colour, too."""
    return {
        label: (COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)])
        for place, label in enumerate(comparison.labels)
    }


def pictures(comparison: Comparison) -> list[Picture]:
    """Forest, parts, leak against questions, reward margins and learning curves, in the order of the page."""
    look = styles(comparison)
    return [
        Picture("Differences to the base model", *forest.draw(comparison, look)),
        Picture("Pair accuracy by dimension and source", *parts.draw(comparison, look)),
        Picture("Leaks against questions", *trade_off.draw(comparison, look)),
        Picture("Reward margins", *_rewards(comparison, look)),
        *_losses(comparison, look),
    ]


def _rewards(comparison: Comparison, look: dict[str, tuple[str, str]]) -> tuple[str, str]:
    lines = [line for line in _lines(comparison, look) if any("rewards/margins" in row for row in line.rows)]
    text = draw(lines, "Reward margins", REWARDS)
    if not text:
        return "", "No run here has logged reward margins; DPO runs do."
    return text, (
        "Implicit rewards beta (log pi - log pi_ref) as training logged them, batch by batch; the margin is chosen "
        "minus rejected. A margin that grows because rejected replies fall says nothing about better replies."
    )


def _losses(comparison: Comparison, look: dict[str, tuple[str, str]]) -> list[Picture]:
    """A picture for each trainer, whose losses only compare with each other."""
    kinds = dict.fromkeys(str(model.record.get("trainer", "")) for model in comparison.models if model.run is not None)
    found = []
    for kind in kinds:
        title = f"Learning curves, {kind.upper()}"
        text = draw(_lines(comparison, look, kind), title, LOSSES)
        if text:
            found.append(Picture(title, text, CAPTIONS.get(kind, "")))
    return found or [Picture("Learning curves", "", "No run here has a metrics.jsonl with a loss.")]


def _lines(comparison: Comparison, look: dict[str, tuple[str, str]], kind: str | None = None) -> list[Line]:
    """One line a run, or a run of the trainer `kind`."""
    return [
        Line(
            name=model.label,
            tip=f"{model.label}: {model.run.name}",
            rows=history(model.run),
            colour=look[model.label][0],
            dashed=model.record.get("state") != "finished",
        )
        for model in comparison.models
        if model.run is not None and kind in (None, str(model.record.get("trainer", "")))
    ]
