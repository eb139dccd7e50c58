"""report.html and report.md of a comparison, and what is printed in a terminal."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edu_align.evaluation.suite.summarise import BOUNDS
from edu_align.reports.comparison import tables
from edu_align.reports.comparison import talks as students
from edu_align.reports.comparison.limits import limits
from edu_align.reports.comparison.models import Comparison, Model, Number
from edu_align.reports.comparison.pictures import model_styles, pictures
from edu_align.reports.comparison.samples import RULE, Sample, samples
from edu_align.reports.comparison.tables import LEGEND, TITLE, wrong_pairs
from edu_align.reports.comparison.talks import SharedTalk, shared_talks
from edu_align.reports.html.charts import Axis, Picture, Track, axis_over
from edu_align.reports.html.page import render, write_whole
from edu_align.reports.words import choice_in_words, in_words, unit_in_words
from edu_align.utils.tables import bullets, code_block, markdown, one_line, text

NOTHING = "Nothing to say."


def write_comparison(comparison: Comparison, folder: Path, command: str) -> tuple[Path, list[str]]:
    """Write both files; returns report.html and the sentences of its limits. `command` writes the report again."""
    shown = samples(comparison.models)
    sentences = limits(comparison, shown)
    drawn = pictures(comparison)
    texts = {
        "report.html": page(comparison, drawn, shown, sentences, command),
        "report.md": as_markdown(comparison, drawn, shown, sentences, command),
    }
    write_whole(folder, texts)
    return folder / "report.html", sentences


def as_markdown(
    comparison: Comparison, pictures: Sequence[Picture], samples: Sequence[Sample], limits: Sequence[str], command: str
) -> str:
    """The text of report.md; what comes from outside cannot break a table or become HTML."""
    against_baselines = [*tables.beside_baselines(comparison), *tables.not_beaten(comparison)]
    lines = [f"# {one_line(title(comparison))}", "", one_line(measured(comparison)), ""]
    lines += ["## What changed", "", *bullets(tables.changes(comparison), NOTHING), ""]
    lines += ["## Beside baselines", "", *bullets(against_baselines, NOTHING), ""]
    lines += ["## All numbers", "", *markdown(tables.full_table(comparison)), ""]
    lines += [one_line(tables.marks_legend(comparison)), "", "## What the numbers mean", ""]
    lines += bullets([f"{name}: {definition}" for name, definition in definitions(comparison)], NOTHING)
    rows = tables.by_misconception(comparison)
    if rows:
        lines += ["", f"## {tables.MISCONCEPTIONS_TITLE}", "", tables.MISCONCEPTIONS_LEGEND, "", *markdown(rows)]
    lists = wrong_pairs(comparison.models)
    lines += ["", f"## {TITLE}", "", one_line(LEGEND)] if lists else []
    for found in lists:
        rows = [found.table()[0], *([_literal(text) for text in row] for row in found.table()[1:])]
        lines += ["", f"### {one_line(found.title())}", "", *markdown(rows)]
    lines += ["", "## Limits of what was measured", "", *bullets(limits, NOTHING), ""]
    drawn = ", ".join(picture.title.lower() for picture in pictures if picture.panels)
    lines += [f"Pictures ({drawn}) are in report.html.", ""] if drawn else []
    lines += [f"## {len(samples)} replies side by side", "", RULE, ""]
    for number, sample in enumerate(samples, start=1):
        lines += [f"### Sample {number} ({sample.digest[:12]})", "", *_sample(sample), ""]
    lines += _talks(shared_talks(comparison.models))
    lines += ["## Runs", "", *markdown(runs_table(comparison)), "", "Write this report again:", ""]
    return "\n".join([*lines, *code_block(command)]) + "\n"


def print_comparison(comparison: Comparison, limits: Sequence[str]) -> None:
    """The table, what changed, what beats no baseline, and the limits."""
    print("\n".join(text(tables.terminal_table(comparison))))
    for line in (
        tables.marks_legend(comparison),
        *tables.changes(comparison),
        *tables.beside_baselines(comparison),
        *tables.not_beaten(comparison),
        *limits,
    ):
        print(f"edu_align: {line}")


def _sample(sample: Sample) -> list[str]:
    """The dialogue as a quote, then the replies in a table. No text has Markdown of its own, such as a picture."""
    replies = {**sample.replies, sample.reference_label: sample.reference}
    rows = [[label, _literal(reply) or "(empty)"] for label, reply in replies.items()]
    return [*_quoted(sample.prompt), "", *markdown([["model", "reply"], *rows])]


def _talks(talks: Sequence[SharedTalk]) -> list[str]:
    """A heading a student, its opening, and the talk with each model; [] without any."""
    lines = [f"## {students.TITLE}", "", students.RULE, ""] if talks else []
    for number, talk in enumerate(talks, start=1):
        lines += [f"### Student {number} ({one_line(talk.item)})", "", *_quoted(talk.opening), ""]
        for label, side in talk.sides.items():
            lines += [f"**{_literal(one_line(label))}**: the student is {side.outcome}.", "", *_quoted(side.turns), ""]
    return lines


def _quoted(turns: Sequence[tuple[str, str]]) -> list[str]:
    """Turns as a Markdown quote."""
    said = [f"> **{_literal(one_line(role))}**: {_literal(one_line(content))}" for role, content in turns]
    return [line for turn in said for line in (turn, ">")][:-1]


def _literal(content: str) -> str:
    return re.sub(r"([\\`*_\[\]!#])", r"\\\1", content)


HERE = Path(__file__).resolve().parent
FIRST = 3  # numbers of one metric, and samples, that are in sight at once


def page(
    comparison: Comparison, pictures: Sequence[Picture], samples: Sequence[Sample], limits: Sequence[str], command: str
) -> str:
    """The whole page as HTML; whatever a model, a data set or a config says is escaped."""
    trained = [model.label for model in comparison.asked]
    return render(
        HERE,
        title=title(comparison),
        headline=tables.headline(comparison),
        trained=trained,
        order=list(dict.fromkeys([*trained[:1], *comparison.labels[:1], *trained, *comparison.labels])),
        styles=model_styles(comparison),
        measured=measured(comparison),
        changes=tables.changes(comparison),
        counts=tables.change_counts(comparison),
        not_beaten=tables.not_beaten(comparison),
        blocks=_blocks(comparison),
        legend=tables.marks_legend(comparison),
        definitions=definitions(comparison),
        pictures=[picture for picture in pictures if picture.panels],
        undrawn=[f"{picture.title}: {picture.caption}" for picture in pictures if not picture.panels],
        misconceptions={
            "title": tables.MISCONCEPTIONS_TITLE,
            "legend": tables.MISCONCEPTIONS_LEGEND,
            "rows": tables.by_misconception(comparison),
        },
        wrong={"title": TITLE, "legend": LEGEND, "lists": wrong_pairs(comparison.models)},
        limits=limits,
        samples=samples,
        shown=FIRST,
        talks={"title": students.TITLE, "rule": students.RULE, "list": shared_talks(comparison.models)},
        rule=RULE,
        runs=runs_table(comparison),
        command=command,
    )


def title(comparison: Comparison) -> str:
    return " against ".join(reversed(comparison.labels)) if len(comparison.labels) < 4 else comparison.name


def measured(comparison: Comparison) -> str:
    """`3 models, 24 numbers, split test.`"""
    models, names = len(comparison.models), len(comparison.names())
    return (
        f"{models} model{'' if models == 1 else 's'}, {names} numbers each, measured on the {comparison.split} split."
    )


def definitions(comparison: Comparison) -> list[tuple[str, str]]:
    """Every metric and what it is, as its stored result says."""
    found: dict[str, str] = {}
    for model in comparison.models:
        for metric, result in model.results.items():
            found.setdefault(metric, result.definition)
    return list(found.items())


def runs_table(comparison: Comparison) -> list[list[str]]:
    """Head and a row a model: label, folder, trainer, data, seed, parent, state, and where a run chose, its weights."""
    rows = [["model", "run", "trainer", "data", "seed", "starts from", "state", "key of its results"]]
    rows += [_run_row(model) for model in comparison.models]
    choices = [choice_in_words(model.record) or "-" for model in comparison.models]
    if set(choices) == {"-"}:
        return rows
    return [[*row, cell] for row, cell in zip(rows, ["weights", *choices], strict=True)]


def _run_row(model: Model) -> list[str]:
    record = model.record
    if model.run is None:
        return [model.label, "-", "-", "-", "-", "-", "-", model.key]
    parent = model.sft or model.base
    facts = [str(record.get(key, "-")) for key in ("trainer", "dataset", "seed")]
    return [model.label, model.run.name, *facts, parent, str(record.get("state", "-")), model.key]


def _blocks(comparison: Comparison) -> list[dict[str, Any]]:
    """A block a metric, with its first numbers in sight and the others in a list that opens."""
    metrics: dict[str, dict[str, None]] = {}
    for number in comparison.numbers:
        metrics.setdefault(number.metric, {})[number.name] = None
    styles = model_styles(comparison)
    blocks = []
    for metric, names in metrics.items():
        rows = [_row(comparison, name, styles) for name in names]
        cut = len(rows) if len(rows) <= FIRST + 1 else FIRST
        blocks.append({"metric": metric, "first": rows[:cut], "more": rows[cut:]})
    return blocks


def _row(comparison: Comparison, name: str, styles: Mapping[str, str]) -> dict[str, Any]:
    found = comparison.of(name)
    first = next(iter(found.values()))
    better = f"{first.better} is better" if first.better else ""
    note = ", ".join(
        part for part in (unit_in_words(first.unit), better, f"n {tables.count_text(comparison, name)}") if part
    )
    ends = BOUNDS.get(first.unit)
    rule = first.baselines.get(str(first.strongest))
    values = [x for n in found.values() for x in (n.value, n.low, n.high) if x is not None]
    axis = Axis("", ends[0], ends[1]) if ends else axis_over("", values if rule is None else [*values, rule])
    return {
        "name": name,
        "words": in_words(name),
        "note": note,
        "baselines": _baselines(found),
        "models": [
            {
                "label": label,
                "value": tables.value_text(number),
                "track": Track(axis, [(number.value, styles[label], f"{label} {tables.value_text(number)}")],
                               (number.low, number.high), rule),
                "differences": _differences(number, comparison.level),
            }
            for label, number in found.items()
        ],
    }  # fmt: skip


def _baselines(found: dict[str, Number]) -> list[str]:
    """The strongest baseline and which models beat it."""
    first = next(iter(found.values()))
    if first.strongest is None:
        return [f"{rule} {value:.3f}" for rule, value in first.baselines.items()]
    winners = [label for label, number in found.items() if number.beats_strongest]
    return [f"{first.strongest} {first.baselines[first.strongest]:.3f}", f"beaten by {', '.join(winners) or 'none'}"]


def _differences(number: Number, level: float) -> list[dict[str, str]]:
    return [
        {
            "text": f"− {other} {tables.difference_text(gap, '', level)}",
            "way": tables.direction(gap, number.better) or ("other" if gap.excludes_0 else ""),
        }
        for other, gap in number.differences.items()
    ]
