"""report.md of a comparison, and what is printed in a terminal."""

import re
from collections.abc import Sequence
from html import escape

from edu_align.comparison import tables
from edu_align.comparison.misconceptions import LEGEND, TITLE, by_misconception
from edu_align.comparison.models import Comparison
from edu_align.comparison.page import definitions, measured, runs_table, title
from edu_align.comparison.pictures import Picture
from edu_align.comparison.samples import RULE, Sample
from edu_align.evaluation.tables import markdown, text


def as_markdown(
    comparison: Comparison,
    pictures: Sequence[Picture],
    samples: Sequence[Sample],
    limits: Sequence[str],
    command: str,
) -> str:
    """The text of report.md; what comes from outside cannot break a table or become HTML."""
    lines = [f"# {_safe(title(comparison))}", "", _safe(measured(comparison)), "", "## What changed", ""]
    lines += _list(tables.moved(comparison))
    lines += [
        "",
        "## Beside baselines",
        "",
        *_list([*tables.beside_baselines(comparison), *tables.not_beaten(comparison)]),
        "",
        "## All numbers",
        "",
    ]
    lines += markdown([[_safe(cell) for cell in row] for row in tables.full_table(comparison)])
    lines += ["", _safe(tables.marks_legend(comparison)), "", "## What the numbers mean", ""]
    lines += _list([f"{name}: {definition}" for name, definition in definitions(comparison)])
    rows = by_misconception(comparison)
    if rows:
        lines += ["", f"## {TITLE}", "", LEGEND, "", *markdown([[_safe(cell) for cell in row] for row in rows])]
    lines += ["", "## Limits of what was measured", "", *_list(limits), ""]
    drawn = ", ".join(picture.title.lower() for picture in pictures if picture.svg)
    lines += [f"Pictures ({drawn}) are in report.html.", ""] if drawn else []
    lines += [f"## {len(samples)} replies side by side", "", RULE, ""]
    for number, sample in enumerate(samples, start=1):
        lines += [f"### Sample {number} ({sample.digest[:12]})", "", *_sample(comparison, sample), ""]
    lines += ["## Runs", "", *markdown([[_safe(cell) for cell in row] for row in runs_table(comparison)])]
    return "\n".join([*lines, "", "Write this report again:", "", "```", " ".join(command.split()), "```"]) + "\n"


def print_comparison(comparison: Comparison, limits: Sequence[str]) -> None:
    """The table, what moved, what beats no rule, and the limits."""
    print("\n".join(text(tables.terminal_table(comparison))))
    for line in (
        tables.marks_legend(comparison),
        *tables.moved(comparison),
        *tables.beside_baselines(comparison),
        *tables.not_beaten(comparison),
        *limits,
    ):
        print(f"edu_align: {line}")


def _sample(comparison: Comparison, sample: Sample) -> list[str]:
    quoted = [line for role, said in sample.prompt for line in (f"> **{_said(role)}**: {_said(said)}", ">")][:-1]
    replies = [[_safe(label), _said(sample.replies[label]) or "(empty)"] for label in comparison.labels]
    human = ["human tutor", _said(sample.human)]
    return [*quoted, "", *markdown([["model", "reply"], *replies, human])]


def _list(lines: Sequence[str]) -> list[str]:
    return [f"- {_safe(line)}" for line in lines] or ["Nothing to say."]


def _said(content: str) -> str:
    """What a model or a data set says: also no Markdown of its own, such as a picture from elsewhere."""
    return re.sub(r"([\\`*_\[\]!#])", r"\\\1", _safe(content))


def _safe(content: str) -> str:
    """In one line, with HTML's signs escaped."""
    return escape(" ".join(content.split()), quote=False)
