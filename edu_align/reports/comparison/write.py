"""report.html and report.md of a comparison, and what is printed in a terminal."""

import re
from collections.abc import Sequence
from pathlib import Path

from edu_align.reports.comparison import tables
from edu_align.reports.comparison.limits import limits
from edu_align.reports.comparison.models import Comparison
from edu_align.reports.comparison.page import definitions, measured, page, runs_table, title
from edu_align.reports.comparison.pictures import pictures
from edu_align.reports.comparison.samples import RULE, Sample, samples
from edu_align.reports.comparison.tables import LEGEND, TITLE, wrong_pairs
from edu_align.reports.html.charts import Picture
from edu_align.reports.html.page import write_whole
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
    turns = [f"> **{_literal(one_line(role))}**: {_literal(one_line(content))}" for role, content in sample.prompt]
    quoted = [line for turn in turns for line in (turn, ">")][:-1]
    replies = {**sample.replies, sample.reference_label: sample.reference}
    rows = [[label, _literal(reply) or "(empty)"] for label, reply in replies.items()]
    return [*quoted, "", *markdown([["model", "reply"], *rows])]


def _literal(content: str) -> str:
    return re.sub(r"([\\`*_\[\]!#])", r"\\\1", content)
