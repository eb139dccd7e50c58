"""report.md with its pictures: what each training stage changed, and what that is worth beside plain rules."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edu_align.errors import UserError
from edu_align.evaluation.plots import Panel, plot_before_after, plot_curves
from edu_align.evaluation.preference import CEILING
from edu_align.evaluation.stages import RunRecord, Stage, read_run
from edu_align.evaluation.tables import (
    baselines_of,
    differences_table,
    family_of,
    markdown,
    metric_names,
    results_table,
    text,
)

MAX_SAMPLES = 6  # side-by-side samples shown a stage
UNITS = {
    "pair_accuracy": "share of pairs",
    "selection_score": "mean score of the reply ranked first",
    "human_turn_nll": "nats per token (lower is better)",
}


def write_report(out_dir: Path, stages: Sequence[Stage]) -> Path:
    """Write report.md, curves.png and before_after.png into `out_dir`, print the table, return the report's path.

    `stages` are in the order of training. A picture without data is left out, and the report says so. Raises UserError
    for no stage, equal labels, no evaluation at all, or a run folder that cannot be read.
    """
    labels = [stage.label for stage in stages]
    if not stages or len(set(labels)) < len(labels):
        raise UserError(f"A report needs at least 1 stage and different labels, got {labels}. Name each stage once.")
    if not metric_names(stages):
        raise UserError(f"None of the stages {', '.join(labels)} has an evaluation. Evaluate one of them first.")
    runs = {stage.label: read_run(stage.run) for stage in stages if stage.run is not None}
    out_dir.mkdir(parents=True, exist_ok=True)
    curves = plot_curves(out_dir / "curves.png", {label: run.history for label, run in runs.items()})
    before_after = plot_before_after(out_dir / "before_after.png", _panels(stages), labels)
    rows = results_table(stages)
    lines = ["# What training changed", "", *_how_measured(stages), "", *markdown(rows), "", *_verdicts(stages)]
    lines += _differences(stages)
    lines += ["", "## Before and after", "", f"![Metrics with intervals]({before_after.name})", "", "## Training", ""]
    lines += [f"![Training curves]({curves.name})"] if curves else ["No run has logged a loss, so there is no curve."]
    lines += ["", *_runs(runs), "", "## Replies side by side", "", *_samples(runs)]
    path = out_dir / "report.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(text(rows)))
    return path


def _how_measured(stages: Sequence[Stage]) -> list[str]:
    settings = [stage.evaluation["settings"] for stage in stages if "settings" in stage.evaluation]
    lines = ["Brackets hold the interval from resampling whole groups; n counts items, groups the independent ones."]
    for each in settings[:1]:
        lines.append(
            f"Coverage {each['confidence']:g}, {each['samples']} resamples, seed {each['seed']}, pairs at a margin of "
            f"at least {each['margin']:g}, sources: {', '.join(each['sources'])}."
        )
    if any(each != settings[0] for each in settings):
        lines.append("**The stages were not evaluated with the same settings or items: do not compare them.**")
    return lines


def _verdicts(stages: Sequence[Stage]) -> list[str]:
    found = [f"- {stage.label}: {line}" for stage in stages for line in stage.evaluation.get("verdicts", {}).values()]
    compared = [entry for stage in stages for entry in stage.evaluation.values() if "beats_baseline" in entry]
    if compared and not found:
        return ["Every metric that has baselines beats the strongest of them at every stage."]
    return found


def _differences(stages: Sequence[Stage]) -> list[str]:
    rows = differences_table(stages)
    return ["", "## Paired differences between stages", "", *markdown(rows)] if len(rows) > 1 else []


def _panels(stages: Sequence[Stage]) -> list[Panel]:
    names = metric_names(stages)
    families = dict.fromkeys(family_of(name) for name in names)
    return [
        Panel(
            title=family.replace("_", " "),
            unit=UNITS.get(family, ""),
            metrics={
                name.removeprefix(family).strip("_").replace("_", " ") or name: [
                    stage.evaluation.get(name) for stage in stages
                ]
                for name in names
                if family_of(name) == family
            },
            baselines={rule: entry["value"] for rule, entry in baselines_of(stages, family).items() if rule != CEILING},
        )
        for family in families
    ]


def _runs(runs: dict[str, RunRecord]) -> list[str]:
    return [
        f"- {label}: state {run.summary.get('state', 'unknown')}, seed {run.summary.get('seed', 'unknown')}, "
        f"{len(run.history)} logged steps."
        for label, run in runs.items()
    ]


def _samples(runs: dict[str, RunRecord]) -> list[str]:
    lines: list[str] = []
    for label, run in runs.items():
        by_prompt: dict[str, dict[str, dict[str, Any]]] = {}
        for sample in run.samples:
            by_prompt.setdefault(json.dumps(sample["prompt"]), {})[sample["when"]] = sample
        for number, sides in enumerate(list(by_prompt.values())[:MAX_SAMPLES], start=1):
            lines += [f"### {label}, sample {number}", "", *_sample(sides), ""]
    return lines or ["No run has kept samples."]


def _sample(sides: dict[str, dict[str, Any]]) -> list[str]:
    """The dialogue as a quote, then the replies beside each other; `sides` maps "before" and "after" to samples."""
    known = next(iter(sides.values()))
    turns = [f"> **{turn['role']}**: {_flat(turn['content'])}" for turn in known["prompt"]]
    quoted = [line for turn in turns for line in (turn, ">")][:-1]
    replies = [_flat(sides[when]["reply"]) if when in sides else "(not kept)" for when in ("before", "after")]
    return [*quoted, "", *markdown([["before", "after", "reference"], [*replies, _flat(known["reference_reply"])]])]


def _flat(content: str) -> str:
    return " ".join(content.split()) or "(empty)"
