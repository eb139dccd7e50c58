"""Tables of a report as rows of cells, and how rows become Markdown or plain text."""

from collections.abc import Sequence
from typing import Any

from edu_align.evaluation.stages import Stage

Rows = list[list[str]]  # the first row is the head
FAMILIES = ("pair_accuracy", "selection_score")


def metric_names(stages: Sequence[Stage]) -> list[str]:
    """Names of every measured metric: family by family, and in the order of first appearance within one."""
    names = dict.fromkeys(
        name
        for stage in stages
        for name, entry in stage.evaluation.items()
        if isinstance(entry, dict) and {"value", "low", "high", "n", "clusters"} <= entry.keys()
    )
    families = dict.fromkeys(family_of(name) for name in names)
    return [name for family in families for name in names if family_of(name) == family]


def family_of(name: str) -> str:
    """The family whose baselines stand beside a metric; a metric of no family is its own."""
    return next((family for family in FAMILIES if name.startswith(family)), name)


def results_table(stages: Sequence[Stage]) -> Rows:
    """Metric by stage with intervals, then n (groups), then the baselines on the same items."""
    rows = [["metric", *(stage.label for stage in stages), "n (groups)", "baselines on the same items"]]
    for name in metric_names(stages):
        entries = [stage.evaluation.get(name) for stage in stages]
        counts = dict.fromkeys(f"{entry['n']} ({entry['clusters']})" for entry in entries if entry)
        rows.append([name, *(cell(entry) for entry in entries), " / ".join(counts), _baselines(stages, name)])
    return rows


def differences_table(stages: Sequence[Stage]) -> Rows:
    """Paired differences (later minus earlier stage) where a stage's evaluation holds them; else only the head."""
    rows = [["stages", "metric", "difference", "n (groups)"]]
    for stage in stages:
        for earlier, metrics in stage.evaluation.get("differences", {}).items():
            for name, entry in metrics.items():
                count = f"{entry['n']} ({entry['clusters']})"
                rows.append([f"{stage.label} - {earlier}", name, cell(entry, sign="+"), count])
    return rows


def cell(entry: dict[str, Any] | None, sign: str = "") -> str:
    """`0.612 [0.580, 0.644]`; a dash for what was not measured."""
    if entry is None:
        return "-"
    if entry["low"] is None or entry["high"] is None:
        return f"{entry['value']:{sign}.3f} [no interval: 1 group]"
    return f"{entry['value']:{sign}.3f} [{entry['low']:{sign}.3f}, {entry['high']:{sign}.3f}]"


def markdown(rows: Rows) -> list[str]:
    """Lines of a Markdown table; a bar inside a cell is escaped."""
    lines = ["| " + " | ".join(entry.replace("|", "\\|") for entry in row) + " |" for row in rows]
    return [lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]]


def text(rows: Rows) -> list[str]:
    """Lines of a table in columns of equal width, for a terminal."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(entry.ljust(width) for entry, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def baselines_of(stages: Sequence[Stage], family: str) -> dict[str, dict[str, Any]]:
    """Rule to measured dict of a family, from the last stage that has them."""
    found = (stage.evaluation.get("baselines", {}).get(family) for stage in reversed(stages))
    return next((rules for rules in found if rules), {})


def _baselines(stages: Sequence[Stage], name: str) -> str:
    """The family's baselines, strongest first."""
    ordered = sorted(baselines_of(stages, family_of(name)).items(), key=lambda item: -item[1]["value"])
    return ", ".join(f"{rule} {entry['value']:.3f}" for rule, entry in ordered) or "-"
