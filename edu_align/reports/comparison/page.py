"""report.html of a comparison: one page that asks nothing of a network, in light and dark, on a phone too."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edu_align.reports.comparison import tables
from edu_align.reports.comparison.models import Comparison, Model, Number
from edu_align.reports.comparison.samples import RULE, Sample
from edu_align.reports.comparison.tables import LEGEND, TITLE, wrong_pairs
from edu_align.reports.html.page import render
from edu_align.reports.html.svg import Picture

HERE = Path(__file__).resolve().parent


def page(
    comparison: Comparison, pictures: Sequence[Picture], samples: Sequence[Sample], limits: Sequence[str], command: str
) -> str:
    """The whole page as HTML; whatever a model, a data set or a config says is escaped."""
    return render(
        HERE,
        title=title(comparison),
        measured=measured(comparison),
        changes=tables.changes(comparison),
        beside=tables.beside_baselines(comparison),
        not_beaten=tables.not_beaten(comparison),
        labels=comparison.labels,
        blocks=_blocks(comparison),
        legend=tables.marks_legend(comparison),
        definitions=definitions(comparison),
        pictures=pictures,
        misconceptions={
            "title": tables.MISCONCEPTIONS_TITLE,
            "legend": tables.MISCONCEPTIONS_LEGEND,
            "rows": tables.by_misconception(comparison),
        },
        wrong={"title": TITLE, "legend": LEGEND, "lists": wrong_pairs(comparison.models)},
        limits=limits,
        samples=samples,
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
    """Head and a row a model: label, folder, trainer, data, seed, parent, state."""
    rows = [["model", "run", "trainer", "data", "seed", "starts from", "state", "key of its results"]]
    return rows + [_run_row(model) for model in comparison.models]


def _run_row(model: Model) -> list[str]:
    record = model.record
    if model.run is None:
        return [model.label, "-", "-", "-", "-", "-", "-", model.key]
    parent = model.sft or model.base
    facts = [str(record.get(key, "-")) for key in ("trainer", "dataset", "seed")]
    return [model.label, model.run.name, *facts, parent, str(record.get("state", "-")), model.key]


def _blocks(comparison: Comparison) -> list[dict[str, Any]]:
    metrics: dict[str, dict[str, None]] = {}
    for number in comparison.numbers:
        metrics.setdefault(number.metric, {})[number.name] = None
    return [{"metric": metric, "rows": [_row(comparison, name) for name in names]} for metric, names in metrics.items()]


def _row(comparison: Comparison, name: str) -> dict[str, Any]:
    found = comparison.of(name)
    first = next(iter(found.values()))
    better = f"{first.better} is better" if first.better else ""
    note = ", ".join(part for part in (first.unit, better, f"n {tables.count_text(comparison, name)}") if part)
    cells = [_cell(found.get(model.label), comparison.level) for model in comparison.models]
    return {"name": name, "note": note, "cells": cells, "baselines": _baselines(found)}


def _baselines(found: dict[str, Number]) -> list[str]:
    """The strongest baseline and, in the next line, which models beat it."""
    first = next(iter(found.values()))
    if first.strongest is None:
        return [f"{rule} {value:.3f}" for rule, value in first.baselines.items()]
    winners = [label for label, number in found.items() if number.beats_strongest]
    return [f"{first.strongest} {first.baselines[first.strongest]:.3f}", f"beaten by {', '.join(winners) or 'none'}"]


def _cell(number: Number | None, level: float) -> dict[str, Any]:
    found = number.differences.items() if number is not None else ()
    gaps = [
        {
            "text": f"− {other} {tables.difference_text(gap, '', level)}",
            "way": tables.direction(gap, number.better if number else ""),
        }
        for other, gap in found
    ]
    return {"value": tables.value_text(number), "differences": gaps}
