"""The pictures of a comparison, as far as it has what they show."""

from typing import TYPE_CHECKING

from edu_align.evaluation.suite.summarise import REWARDS
from edu_align.reports.comparison.models import Comparison, Difference, Number
from edu_align.reports.comparison.tables import difference_text
from edu_align.reports.html import svg
from edu_align.reports.html.curves import Line, draw
from edu_align.reports.html.page import json_lines
from edu_align.reports.html.svg import COLOURS, Picture, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


MARKERS = ("o", "s", "^", "D", "v", "P")
LOSS_PANELS = (
    ("loss", "training loss", "nats"),
    ("eval_loss", "validation loss", "nats"),
    ("mean_token_accuracy", "tokens predicted in training", "share of tokens"),
)
REWARD_PANELS = (
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
ROW_HEIGHT = 0.2  # inches of one model's row in the forest plot
PREFIX, LEFT_OUT = "pair_accuracy", ("dialogue_effect", "no_dialogue")  # of the numbers in the plot of parts
LEAKS, ASKS = ("leak_rate",), ("guidance_rate", "question_rate")
HUMAN = "human tutor"
Styles = dict[str, Style]  # by model
ForestRow = tuple[str, str, dict[str, Difference]]  # number, which way is better, model -> difference
PartRow = dict[tuple[str, str], Number]  # model, scorer -> number


def model_styles(comparison: Comparison) -> Styles:
    """Colour and marker of every model, the same in all pictures; distinct without colour, too."""
    return {
        label: (COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)])
        for place, label in enumerate(comparison.labels)
    }


def pictures(comparison: Comparison) -> list[Picture]:
    """Forest, parts, leak against questions, reward margins and learning curves, in the order of the page."""
    styles = model_styles(comparison)
    return [
        Picture("Differences to the base model", *forest_plot(comparison, styles)),
        Picture("Pair accuracy by dimension and source", *parts_plot(comparison, styles)),
        Picture("Leaks against questions", *trade_off_plot(comparison, styles)),
        Picture("Reward margins", *_rewards(comparison, styles)),
        *_losses(comparison, styles),
    ]


def _rewards(comparison: Comparison, styles: Styles) -> tuple[str, str]:
    lines = [line for line in _lines(comparison, styles) if any("rewards/margins" in row for row in line.rows)]
    text = draw(lines, "Reward margins", REWARD_PANELS)
    if not text:
        return "", "No run here has logged reward margins; DPO runs do."
    return text, (
        "Implicit rewards beta (log pi - log pi_ref) as training logged them, batch by batch; the margin is chosen "
        "minus rejected. A margin that grows because rejected replies fall says nothing about better replies."
    )


def _losses(comparison: Comparison, styles: Styles) -> list[Picture]:
    """A picture for each trainer, whose losses only compare with each other."""
    kinds = dict.fromkeys(str(model.record.get("trainer", "")) for model in comparison.models if model.run is not None)
    found = []
    for kind in kinds:
        title = f"Learning curves, {kind.upper()}"
        text = draw(_lines(comparison, styles, kind), title, LOSS_PANELS)
        if text:
            found.append(Picture(title, text, CAPTIONS.get(kind, "")))
    return found or [Picture("Learning curves", "", "No run here has a metrics.jsonl with a loss.")]


def _lines(comparison: Comparison, styles: Styles, kind: str | None = None) -> list[Line]:
    """One line a run, or a run of the trainer `kind`."""
    return [
        Line(
            name=model.label,
            tip=f"{model.label}: {model.run.name}",
            rows=json_lines(model.run),
            colour=styles[model.label][0],
            dashed=model.record.get("state") != "finished",
        )
        for model in comparison.models
        if model.run is not None and kind in (None, str(model.record.get("trainer", "")))
    ]


def forest_plot(comparison: Comparison, styles: Styles) -> tuple[str, str]:
    """Every difference to the base with its interval, a panel for each unit, and a caption; empty without a base."""
    by_unit: dict[str, list[ForestRow]] = {}
    for name in comparison.names():
        found = comparison.of(name)
        bases = {model.label: model.base for model in comparison.models}
        differences = {label: gap for label, n in found.items() if (gap := n.differences.get(bases[label]))}
        if differences:
            first = next(iter(found.values()))
            by_unit.setdefault(first.unit or "number", []).append((name, first.better, differences))
    if not by_unit:
        return "", "No run here has a base model that was measured on the same items."
    compared = {label for rows in by_unit.values() for _, _, differences in rows for label in differences}
    shown = {label: style for label, style in styles.items() if label in compared}
    heights = [len(rows) * (ROW_HEIGHT * len(shown) + 0.1) + 0.6 for rows in by_unit.values()]
    tips: dict[str, str] = {}
    with svg.style("forest"):
        figure = svg.new_figure(sum(heights) + 0.4)
        axes = figure.subplots(len(by_unit), 1, squeeze=False, height_ratios=heights).flatten()
        for panel, (ax, (unit, rows)) in enumerate(zip(axes, by_unit.items(), strict=True)):
            _forest_panel(ax, rows, shown, panel, tips, comparison.level)
            ax.set_xlabel(f"difference to base, {unit}")
        handles = [svg.marker_of(style) for style in shown.values()]
        figure.legend(handles, list(shown), loc="outside upper left", ncols=min(3, len(shown)))
        text = svg.to_svg(figure, "Paired differences to the base model", tips)
    return text, (
        "Filled: the interval excludes 0; hollow: it does not. (+) more is better, (-) less is better, none: neither. "
        "Whether a filled one survives the number of tests is in the table (**)."
    )


def _forest_panel(
    ax: "Axes", rows: list[ForestRow], styles: Styles, panel: int, tips: dict[str, str], level: float
) -> None:
    step = 1.0 / (len(styles) + 0.6)
    for at, (name, better, differences) in enumerate(rows):
        for place, (label, style) in enumerate(styles.items()):
            if (gap := differences.get(label)) is not None:
                gid = f"gap-{panel}-{at}-{place}"
                tips[gid] = f"{label}, {name}: {difference_text(gap, better, level)}"
                up = at + (place - (len(styles) - 1) / 2) * step
                svg.point(ax, gap.value, up, style, gid, (gap.low, gap.high), gap.excludes_0)
        if at and len(styles) > 1:
            ax.axhline(at - 0.5, color=svg.FAINT, linewidth=0.4)
    ax.axvline(0, color=svg.INK, linewidth=0.8)
    signs = {"higher": " (+)", "lower": " (-)"}
    svg.named_rows(ax, [f"{svg.shorten(name)}{signs.get(better, '')}" for name, better, _ in rows])


def parts_plot(comparison: Comparison, styles: Styles) -> tuple[str, str]:
    """Pair accuracy by dimension and source, beside the strongest baseline, and a caption; empty without any."""
    rows: dict[str, PartRow] = {}
    for name in comparison.names():
        if name.startswith(PREFIX) and not any(part in name for part in LEFT_OUT):
            part, _, scorer = name.partition("/")
            title = part.removeprefix(PREFIX).strip("_").replace("_", " ") or "all"
            rows.setdefault(title, {}).update({(label, scorer): n for label, n in comparison.of(name).items()})
    if not rows:
        return "", "No pair accuracy was measured."
    order = comparison.labels
    keys = sorted(
        {key for row in rows.values() for key in row}, key=lambda key: (order.index(key[0]), key[1] in REWARDS, key[1])
    )
    tips: dict[str, str] = {}
    with svg.style("parts"):
        figure = svg.new_figure(len(rows) * (0.15 * len(keys) + 0.16) + 0.9)
        ax = figure.subplots()
        for at, (name, row) in enumerate(rows.items()):
            _part_row(ax, at, name, row, keys, styles, tips)
        ax.axvline(0.5, color=svg.INK, linewidth=0.8, linestyle="--")
        svg.named_rows(ax, list(rows))
        ax.set_xlabel("share of pairs in the order that people gave")
        names = [f"{label}, {scorer.replace('_', ' ')}" if scorer else label for label, scorer in keys]
        handles = [svg.marker_of(styles[label], scorer not in REWARDS) for label, scorer in keys]
        bar = svg.marker_of((svg.INK, "|"))
        figure.legend([*handles, bar], [*names, "strongest baseline"], loc="outside upper left", ncols=3)
        text = svg.to_svg(figure, "Pair accuracy by dimension and source", tips)
    return text, (
        "Lines are intervals over groups; dashed is chance; hollow is the implicit reward, filled the mean "
        "log-probability. The bar is the strongest baseline on the same pairs: who wrote it, length, question mark, "
        "overlap, surface features."
    )


def _part_row(
    ax: "Axes", at: int, name: str, row: PartRow, keys: list[tuple[str, str]], styles: Styles, tips: dict[str, str]
) -> None:
    for place, (label, scorer) in enumerate(keys):
        if number := row.get((label, scorer)):
            gid = f"part-{at}-{place}"
            tips[gid] = f"{label}, {name}, {scorer}: {number.value:.3f}, n {number.n} ({number.groups} groups)"
            up = at + (place - (len(keys) - 1) / 2) * 0.8 / len(keys)
            svg.point(ax, number.value, up, styles[label], gid, (number.low, number.high), scorer not in REWARDS)
    first = next(iter(row.values()))
    if first.strongest is not None:
        ax.plot([first.baselines[first.strongest]] * 2, [at - 0.42, at + 0.42], color=svg.INK, linewidth=1.6)


def trade_off_plot(comparison: Comparison, styles: Styles) -> tuple[str, str]:
    """Leak rate against question rate, and a caption; empty where one of the two was not measured."""
    leak, ask = _first_measured(comparison, LEAKS), _first_measured(comparison, ASKS)
    if leak is None or ask is None:
        missing = " and ".join(name for name, found in ((LEAKS[0], leak), (ASKS[-1], ask)) if found is None)
        return "", f"Not measured here: {missing}."
    leaks, asks = comparison.of(leak), comparison.of(ask)
    tips: dict[str, str] = {}
    with svg.style("trade-off"):
        figure = svg.new_figure(3.7)
        ax = figure.subplots()
        shown = {label: style for label, style in styles.items() if label in leaks and label in asks}
        for place, (label, style) in enumerate(shown.items()):
            across, up = asks[label], leaks[label]
            tips[f"rate-{place}"] = f"{label}: {ask} {across.value:.3f}, {leak} {up.value:.3f}"
            svg.point(ax, across.value, up.value, style, f"rate-{place}", (across.low, across.high))
            if up.low is not None and up.high is not None:
                ax.plot([across.value] * 2, [up.low, up.high], color=style[0], linewidth=1.2)
        handles = {label: svg.marker_of(style) for label, style in shown.items()}
        x, y = _human_rate(asks), _human_rate(leaks)
        if x is not None and y is not None:
            tips["human"] = f"{HUMAN}: {ask} {x:.3f}, {leak} {y:.3f}"
            svg.point(ax, x, y, (svg.INK, "*"), "human")
            handles[HUMAN] = svg.marker_of((svg.INK, "*"))
        elif x is not None:
            handles[f"{HUMAN}, {ask}"] = ax.axvline(x, color=svg.INK, linewidth=1, linestyle=":")
        ax.set(xlabel=f"{ask}, share of replies", ylabel=f"{leak}, share of replies", xlim=(-0.03, 1.03))
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
        svg.plain(ax)
        figure.legend(list(handles.values()), list(handles), loc="outside upper left", ncols=3)
        text = svg.to_svg(figure, "Leak rate against question rate", tips)
    return text, (
        'Low is fewer answers given away, right is more questions. A constant "please recheck" lies at the lower '
        "left: it leaks nothing and helps nobody. Crosses are intervals over groups; the two rates count different "
        "prompts (leaks: only where the answer is known and not in the dialogue)."
    )


def _first_measured(comparison: Comparison, wanted: tuple[str, ...]) -> str | None:
    names = comparison.names()
    return next((name for want in wanted for name in names if name == want or name.endswith(f"/{want}")), None)


def _human_rate(numbers: dict[str, Number]) -> float | None:
    return next((n.baselines[HUMAN] for n in numbers.values() if HUMAN in n.baselines), None)
