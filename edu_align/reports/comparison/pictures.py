"""The pictures of a comparison, as far as it has what they show."""

from edu_align.reports.comparison.models import Comparison, Number
from edu_align.reports.html.charts import GREY, Axis, Mark, Panel, Picture, axis_over, colour
from edu_align.reports.html.curves import REWARDS, SHARES, Line, curves, loss_panels
from edu_align.reports.html.page import json_lines
from edu_align.reports.words import in_words

CAPTIONS = {
    "sft": "A lower loss: the replies of the data surprise the model less.",
    "reward": "A reward model's loss is ln 2 = 0.693 before the first step where it learns from pairs.",
    "dpo": "DPO's loss is ln 2 = 0.693 before the first step; it does not compare with the loss of SFT.",
    "kto": "KTO's loss is half the mean weight of its replies before the first step, 0.5 as a rule, and between 0 and "
    "twice that; it compares with no other.",
    "grpo": "GRPO's loss is near 0 throughout: advantages are compared within a group. Read the rewards instead.",
}
LEAK, ASK = "leak_rate", "question_rate"
HUMAN = "human tutor"
Styles = dict[str, str]  # by model


def model_styles(comparison: Comparison) -> Styles:
    """How every model is drawn, the same in all pictures: base models grey, the others in a colour of their own."""
    trained = [model.label for model in comparison.models if model.run is not None]
    return {label: colour(trained.index(label)) if label in trained else GREY for label in comparison.labels}


def pictures(comparison: Comparison) -> list[Picture]:
    """Leaks against questions, then what training logged; one without panels says what is missing."""
    styles = model_styles(comparison)
    return [trade_off(comparison, styles), *_losses(comparison, styles), _rewards(comparison, styles)]


def _rewards(comparison: Comparison, styles: Styles) -> Picture:
    lines = [line for line in _lines(comparison, styles) if any("rewards/margins" in row for row in line.rows)]
    panels = curves(lines, REWARDS)
    caption = (
        "A reward is beta times how much likelier training made a reply, batch by batch; the margin is that of the "
        "chosen reply minus that of the rejected one. A margin that grows because rejected replies fall says nothing "
        "about better replies. A reward model's reward is the output of its head, on a scale of its own."
    )
    return Picture("Reward margins", caption if panels else "No run here has logged reward margins; DPO runs do.",
                   panels, _legend(lines))  # fmt: skip


def _losses(comparison: Comparison, styles: Styles) -> list[Picture]:
    """A picture for each trainer, whose losses only compare with each other."""
    kinds = dict.fromkeys(str(model.record.get("trainer", "")) for model in comparison.models if model.run is not None)
    found = []
    for kind in kinds:
        lines = _lines(comparison, styles, kind)
        panels = curves(lines, [*loss_panels(lines), *SHARES])
        if panels:
            found.append(Picture(f"Learning curves, {kind.upper()}", CAPTIONS.get(kind, ""), panels, _legend(lines)))
    return found or [Picture("Learning curves", "No run here has a metrics.jsonl with the losses of two steps.")]


def _lines(comparison: Comparison, styles: Styles, kind: str | None = None) -> list[Line]:
    """One line a run, or a run of the trainer `kind`."""
    return [
        Line(
            name=model.label if model.record.get("state") == "finished" else f"{model.label} (unfinished)",
            tip=f"{model.label}: {model.run.name}",
            rows=json_lines(model.run),
            style=styles[model.label],
        )
        for model in comparison.models
        if model.run is not None and kind in (None, str(model.record.get("trainer", "")))
    ]


def _legend(lines: list[Line]) -> list[tuple[str, str]]:
    return [(line.style, line.name) for line in lines]


def trade_off(comparison: Comparison, styles: Styles) -> Picture:
    """Leak rate against question rate; not drawn below two models that were measured in both."""
    title = "Answers given away against questions asked"
    leak, ask = _measured(comparison, LEAK), _measured(comparison, ASK)
    if leak is None or ask is None:
        missing = " and ".join(name for name, found in ((LEAK, leak), (ASK, ask)) if found is None)
        return Picture(title, f"Not measured here: {missing}.")
    leaks, asks = comparison.of(leak), comparison.of(ask)
    shown = {label: style for label, style in styles.items() if label in leaks and label in asks}
    if len(shown) < 2:
        return Picture(title, "One model alone has nothing to stand beside.")
    marks = [mark for label, style in shown.items() for mark in _cross(label, style, asks[label], leaks[label])]
    legend = [(f"{style} dot", label) for label, style in shown.items()]
    human = [
        next((n.baselines[HUMAN] for n in found.values() if HUMAN in n.baselines), None) for found in (asks, leaks)
    ]
    if None not in human:
        marks.append(Mark([(float(human[0] or 0), float(human[1] or 0))], "ink", HUMAN))
        legend.append(("ink dot", HUMAN))
    ends = [up for mark in marks for _, up in mark.points]
    up = axis_over(f"{in_words(leak)}, share", [0.0, *ends])
    panel = Panel("", Axis(f"{in_words(ask)}, share", -0.03, 1.03), up, marks)
    return Picture(title, (
        'Low is fewer answers given away, right is more questions. A constant "please recheck" lies at the lower '
        "left: it leaks nothing and helps nobody. Crosses are intervals; the two rates count different prompts "
        "(answers given away: only where the answer is known and not in the dialogue)."
    ), [panel], legend)  # fmt: skip


def _cross(label: str, style: str, across: Number, up: Number) -> list[Mark]:
    tip = f"{label}: {across.name} {across.value:.3f}, {up.name} {up.value:.3f}"
    marks = [Mark([(across.value, up.value)], style, tip)]
    if across.low is not None and across.high is not None:
        marks.append(Mark([(across.low, up.value), (across.high, up.value)], style, tip))
    if up.low is not None and up.high is not None:
        marks.append(Mark([(across.value, up.low), (across.value, up.high)], style, tip))
    return marks


def _measured(comparison: Comparison, wanted: str) -> str | None:
    return next((name for name in comparison.names() if name == wanted or name.endswith(f"/{wanted}")), None)
