"""The tutor recipe under several seeds, each measured by the whole suite, and one table over them.

What `make reproduce DATA=<folder>` runs. Finished runs and stored measurements are found again, so the same command
goes on where it was cut off, and `seeds=` may be given more of them later.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from edu_align.evaluation.suite.results import MetricResult
from edu_align.models.speed import Speed, watched
from edu_align.utils.errors import UserError
from edu_align.utils.tables import cell

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
    from edu_align.training.chain import run_chain, stages

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
    with watched(Speed()) as speed:
        by_seed = [measure_run(run) for run in runs]
    labels = list(by_seed[0])
    from edu_align.evaluation.suite.summarise import averaged, paired_difference, summarise, table
    from edu_align.reports.comparison.reading import CONFIDENCE, SAMPLES
    from edu_align.utils.tables import text

    together = {label: averaged([results[label] for results in by_seed]) for label in labels}
    rows = summarise(together, seeds[0], SAMPLES, CONFIDENCE)
    print("\n".join(text(_with_spread(table(rows), rows, by_seed))))
    paired = partial(paired_difference, seed=seeds[0], samples=SAMPLES, confidence=CONFIDENCE)
    print("\n".join(f"edu_align: {line}" for line in targets(rows, together[labels[-1]], labels[-1], paired)))
    folder = report_runs(runs, "tutor")
    numbers = _kept_form(rows)
    (folder / "results.json").write_text(json.dumps(numbers | speed.summary(), indent=1) + "\n", encoding="utf-8")
    print(
        f"edu_align: means over the seeds {', '.join(map(str, seeds))}; report {folder / 'report.html'}; "
        f"{time.monotonic() - began:.0f} s in all"
    )
    from edu_align.recipes.kept_results import check_kept

    agrees, lines = check_kept(kept, {name: {"value": entry["value"]} for name, entry in numbers.items()})
    print("\n".join(f"edu_align: {line}" for line in lines))
    return agrees


def measure_run(run: Path, metrics: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """{label: {metric: result}} of a run, the runs that it started from and the base model, the base first.

    `metrics` are measured where the run's config names none; without either it is the whole suite.
    """
    from edu_align.config.stored import stored_config
    from edu_align.evaluation.suite.registry import chosen_metrics
    from edu_align.evaluation.suite.run import measure, suite_of_run
    from edu_align.runs.folder import find_run

    outputs = run.parents[1]
    config = stored_config(run / "config.yaml", {"evaluation.enabled": "true"})
    config.outputs_root = str(outputs)
    suite = suite_of_run(find_run("run", str(run), outputs), config, outputs)
    measured = measure(suite, chosen_metrics(config.evaluation.metrics or metrics, suite.trained_on))
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
        each = " ".join(f"{value:.3f}" for value in values) if len(set(values)) > 1 else "-"
        lines.append([*line, each])
    return lines


def report_runs(runs: Sequence[Path], name: str) -> Path:
    """Write the comparison of measured runs into outputs_root/reports/`name`; returns that folder."""
    from edu_align.reports import REPORTS
    from edu_align.reports.comparison.reading import read_comparison
    from edu_align.reports.comparison.write import write_comparison
    from edu_align.reports.provenance import write_sources
    from edu_align.runs.folder import find_stored

    outputs = runs[0].parents[1]
    stored = find_stored("runs", [str(run) for run in runs], outputs)
    comparison = read_comparison(stored, outputs)
    command = f"python -m edu_align.report runs=[{','.join(run.name for run in runs)}]"
    folder = write_comparison(comparison, outputs / REPORTS / name, command)[0].parent
    write_sources(folder, command.split(" "), stored, comparison.split)
    return folder


def _kept_form(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """What `check_kept` reads: half the interval's width as tolerance, or two items where it has none."""
    found = {}
    for row in rows:
        if row["name"] in KEPT:
            width = (row["high"] - row["low"]) / 2 if row["low"] is not None else 0.0
            tolerance = max(width, 2 / row["n"])
            found[f"{row['label']}/{row['name']}"] = {"value": round(row["value"], 6), "tolerance": round(tolerance, 6)}
    return found


Row = dict[str, Any]
RowsByName = Mapping[str, Row]
Results = Mapping[str, MetricResult]
Verdicts = Iterator[tuple[bool, str]]  # whether a target is met, and the sentence
Paired = Callable[[Any, Any], Row | None]  # two series -> the interval of their difference
BALANCED, EFFECT = "pair_accuracy_balanced/implicit", "dialogue_effect/implicit"
SELECTION, PEOPLE = "selection_score/implicit", "human tutor"
OVER_BASELINES = (
    (BALANCED, "surface_logistic"), ("context_use/mean_logp", "idf_overlap"), ("context_use/implicit", "idf_overlap"),
)  # fmt: skip
LEAST_BALANCED, LEAST_EFFECT, LEAST_SELECTION = 0.70, 0.05, 7.1
MOST_LEAKS, MOST_LOSS = 0.05, 0.02


def targets(rows: Sequence[Row], results: Mapping[str, MetricResult], label: str, paired: Paired) -> list[str]:
    """One sentence for every target whose number is among `rows` (see `summarise`), for the model `label`.

    `results` are that model's, `paired` makes a difference with its interval. Targets were fixed before
    anything was measured, and are those of experiments/tutor.
    """
    own = {row["name"]: row for row in rows if row["label"] == label}
    found = [*_values(own), *_over_baselines(own, results, paired), *_form(own, results), *_against_base(own)]
    return [f"target {'MET' if met else 'MISSED'}: {sentence}" for met, sentence in found]


def _values(own: RowsByName) -> Verdicts:
    """Numbers that are to reach a value themselves."""
    if row := own.get(BALANCED):
        yield row["value"] >= LEAST_BALANCED, f"{BALANCED} {cell(row)}, aimed at {LEAST_BALANCED:.2f}"
    if row := own.get(EFFECT):
        shown = "told" if row["low"] is not None and row["low"] > 0 else "not told"
        yield row["value"] >= LEAST_EFFECT, f"{EFFECT} {cell(row)}, at least {LEAST_EFFECT:.2f}; {shown} from 0"
    if row := own.get(SELECTION):
        yield row["value"] > LEAST_SELECTION, f"{SELECTION} {cell(row)} of 8, above {LEAST_SELECTION}"
    if row := own.get("leak_rate"):
        yield row["value"] <= MOST_LEAKS, f"leak_rate {cell(row)}, at most {MOST_LEAKS:.2f}"


def _over_baselines(own: RowsByName, results: Results, paired: Paired) -> Verdicts:
    """Numbers whose difference to one baseline is to have an interval above 0."""
    for name, rule in OVER_BASELINES:
        result = results[own[name]["metric"]] if name in own else None
        if result is None or rule not in result.baselines.get(name, {}):
            continue
        gap = paired(result.measured[name], result.baselines[name][rule])
        if gap is not None:
            sentence = f"{name} {cell(own[name])}, minus the rule {rule} {cell(gap, '+')}, above 0"
            yield gap["low"] is not None and gap["low"] > 0, sentence


def _form(own: RowsByName, results: Results) -> Verdicts:
    """Questions and words as people use them."""
    if row := own.get("question_rate"):
        people = row["baselines"][PEOPLE]
        inside = people["low"] is not None and people["low"] <= row["value"] <= people["high"]
        yield inside, f"question_rate {cell(row)}, inside people's interval {cell(people)}"
    if row := own.get("words"):
        least, most = np.quantile(results["form"].baselines["words"][PEOPLE].values, (0.1, 0.9))
        sentence = f"words {cell(row)}, between {least:.0f} and {most:.0f}, as 8 of 10 people's"
        yield least <= row["value"] <= most, sentence


def _against_base(own: RowsByName) -> Verdicts:
    """Likelihood of people's replies, and retention, beside the base model's."""
    for name, row in own.items():
        gap = row["difference_to_base"]
        if gap is not None and name.startswith("nats_per_token/"):
            sentence = f"{name} {cell(row)}, minus base {cell(gap, '+')}, below 0"
            yield gap["high"] is not None and gap["high"] < 0, sentence
        if gap is not None and name == "retention/likelihood":
            yield (
                gap["value"] >= -MOST_LOSS,
                f"{name} {cell(row)}, minus base {cell(gap, '+')}, at least -{MOST_LOSS:.2f}",
            )
