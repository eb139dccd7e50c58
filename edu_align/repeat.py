"""The tutor recipe under several seeds, each measured by the whole suite, and one table over them.

What `make reproduce DATA=<folder>` runs. Finished runs and stored measurements are found again, so the same command
goes on where it was cut off, and `seeds=` may be given more of them later.
"""

import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from edu_align.errors import UserError

CHAIN = ("tutor_sft", "tutor_dpo")
SEEDS = (42, 43, 44)
# Numbers that are kept in experiments/tutor/results.json; all others are in the report.
KEPT = (
    "pair_accuracy_balanced/mean_logp", "pair_accuracy_balanced/implicit", "dialogue_effect/implicit",
    "pair_accuracy_balanced_no_dialogue/implicit", "pair_accuracy/mean_logp", "pair_accuracy/implicit",
    "pair_accuracy_hard/implicit", "selection_score/mean_logp", "selection_score/implicit", "context_use/mean_logp",
    "context_use/implicit", "leak_rate", "question_rate", "words", "nats_per_token/mathdial", "nats_per_token/mrbench",
    "retention/likelihood",
)  # fmt: skip


def seeds_in(words: Sequence[str]) -> tuple[tuple[int, ...], list[str]]:
    """The seeds of `seeds=1,2,3` (SEEDS where it is not given) and the other words. Errors: `seed=`, and no numbers."""
    given = [word.partition("=")[2] for word in words if word.startswith("seeds=")]
    rest = [word for word in words if not word.startswith("seeds=")]
    if any(word.startswith("seed=") for word in rest):
        raise UserError("`seed`: this recipe runs under several seeds. Give seeds=42 for one, seeds=42,43 for two.")
    if not given:
        return SEEDS, rest
    parts = [part.strip() for part in given[-1].strip("[]").split(",")]
    if not all(part.isdigit() for part in parts) or len(set(parts)) != len(parts):
        raise UserError(f"`seeds` must be different whole numbers >= 0, got {given[-1]!r}. Example: seeds=42,43,44.")
    return tuple(int(part) for part in parts), rest


def repeat(words: Sequence[str], kept: Path) -> bool:
    """Train, measure and report; returns whether the numbers agree with those in `kept`."""
    from edu_align.chain import run_chain, stages

    seeds, rest = seeds_in(words)
    began = time.monotonic()
    rest = [*rest, "evaluation.enabled=false"]  # the suite measures more, and the base once for all seeds
    stages(CHAIN, [*rest, f"seed={seeds[0]}"])
    runs = []
    for number, seed in enumerate(seeds, start=1):
        print(f"edu_align: seed {seed}, {number} of {len(seeds)}", flush=True)
        found = [run.path for run in run_chain(CHAIN, [*rest, f"seed={seed}"]) if run is not None]
        if len(found) < len(CHAIN):
            raise UserError("`preview` shows data and trains nothing, so there is nothing to repeat. Leave it out.")
        runs.append(found[-1])
    by_seed = [_measured(run) for run in runs]
    labels = list(by_seed[0])
    from edu_align.comparison.reading import CONFIDENCE, SAMPLES
    from edu_align.evaluation.suite.seeds import averaged
    from edu_align.evaluation.suite.summarise import paired_difference, summarise, table
    from edu_align.evaluation.tables import text
    from edu_align.targets import targets

    together = {label: averaged([results[label] for results in by_seed]) for label in labels}
    rows = summarise(together, seeds[0], SAMPLES, CONFIDENCE)
    print("\n".join(text(_with_spread(table(rows), rows, by_seed))))
    paired = partial(paired_difference, seed=seeds[0], samples=SAMPLES, confidence=CONFIDENCE)
    print("\n".join(f"edu_align: {line}" for line in targets(rows, together[labels[-1]], labels[-1], paired)))
    folder = _report(runs)
    numbers = _kept_form(rows)
    (folder / "results.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    print(
        f"edu_align: means over the seeds {', '.join(map(str, seeds))}; report {folder / 'report.html'}; "
        f"{time.monotonic() - began:.0f} s in all"
    )
    from edu_align.evaluation.agreement import check

    agrees, lines = check(kept, {name: {"value": entry["value"]} for name, entry in numbers.items()})
    print("\n".join(f"edu_align: {line}" for line in lines))
    return agrees


def _measured(run: Path) -> dict[str, dict[str, Any]]:
    """{label: {metric: result}} of a run, the SFT run that it started from and the base model."""
    from edu_align.config.stored import stored_config
    from edu_align.evaluation.suite.metrics import chosen_metrics
    from edu_align.evaluation.suite.run import measure, suite_of_run
    from edu_align.runs.folder import find_run

    outputs = run.parents[1]
    config = stored_config(run / "config.yaml", {"evaluation.enabled": "true"})
    config.outputs_root = str(outputs)
    suite = suite_of_run(find_run("run", str(run), outputs), config, outputs)
    measured = measure(suite, chosen_metrics(config.evaluation.metrics))
    print("\n".join(f"edu_align: {note}" for note in measured.notes))
    return measured.results


def _with_spread(
    cells: list[list[str]], rows: Sequence[Mapping[str, Any]], by_seed: Sequence[Mapping[str, Mapping[str, Any]]]
) -> list[list[str]]:
    """The table with one more column: the value under each seed, for the models that depend on it."""
    lines = [[*cells[0], "each seed"]]
    for line, row in zip(cells[1:], rows, strict=True):
        values = []
        for results in by_seed:
            series = results[row["label"]][row["metric"]].measured[row["name"]]
            values.append(fmean(series.values, series.weights))
        said = " ".join(f"{value:.3f}" for value in values) if len(set(values)) > 1 else "-"
        lines.append([*line, said])
    return lines


def _report(runs: Sequence[Path]) -> Path:
    """All runs beside each other in outputs_root/report/tutor."""
    from edu_align.comparison.reading import read_comparison
    from edu_align.comparison.write import write_comparison
    from edu_align.runs.folder import find_stored

    outputs = runs[0].parents[1]
    folder = outputs / "report" / "tutor"
    comparison = read_comparison(find_stored("runs", [str(run) for run in runs], outputs), outputs, "test")
    write_comparison(comparison, folder, f"python -m edu_align.report runs=[{','.join(run.name for run in runs)}]")
    return folder


def _kept_form(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """What `agreement.check` reads: half the interval's width as tolerance, or two items where it has none."""
    found = {}
    for row in rows:
        if row["name"] in KEPT:
            width = (row["high"] - row["low"]) / 2 if row["low"] is not None else 0.0
            tolerance = max(width, 2 / row["n"])
            found[f"{row['label']}/{row['name']}"] = {
                "value": round(row["value"], 6),
                "tolerance": round(tolerance, 6),
            }
    return found
