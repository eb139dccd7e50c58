"""The stages of one training (base, SFT, DPO) as a table of what evaluation.json holds of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edu_align.utils.errors import UserError
from edu_align.utils.tables import Rows, cell

FAMILIES = ("pair_accuracy", "selection_score")


@dataclass(frozen=True)
class Stage:
    """One state of the model. `label`: "base", "SFT", "DPO"; `evaluation`: a result of `evaluate_preferences`."""

    label: str
    evaluation: dict[str, Any] = field(default_factory=dict)


def read_evaluation(run: Path) -> dict[str, dict[str, Any]]:
    """evaluation.json of a run folder: model label to result of `evaluate_preferences`. UserError names the file."""
    path = run / "evaluation.json"
    if not path.is_file():
        raise UserError(f"{run} has no evaluation.json. Evaluate the run first, or train with evaluation.enabled=true.")
    text = path.read_text(encoding="utf-8")
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON ({error}). Was the run cut short? Run again.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must be a JSON object, got {text[:80]!r}. Write the file again from its run.")
    return content


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
    """Metric by stage with intervals, then n (groups), then the baselines on the same items, strongest first."""
    rows = [["metric", *(stage.label for stage in stages), "n (groups)", "baselines on the same items"]]
    for name in metric_names(stages):
        entries = [stage.evaluation.get(name) for stage in stages]
        counts = dict.fromkeys(f"{entry['n']} ({entry['clusters']})" for entry in entries if entry)
        baselines = ", ".join(f"{rule} {value:.3f}" for rule, value in baselines_of(stages, name)) or "-"
        rows.append([name, *(cell(entry) for entry in entries), " / ".join(counts), baselines])
    return rows


def baselines_of(stages: Sequence[Stage], name: str) -> list[tuple[str, float]]:
    """Baselines of a metric's family and their values, strongest first, from the last stage that has them."""
    found = (stage.evaluation.get("baselines", {}).get(family_of(name)) for stage in reversed(stages))
    measured: dict[str, dict[str, Any]] = next((rules for rules in found if rules), {})
    return sorted(((rule, entry["value"]) for rule, entry in measured.items()), key=lambda item: -item[1])
