"""One training setting measured on all of its questions: a model a fold, each measured on what it never saw.

The folds are ordinary runs with `dataset.folds` and `dataset.validation_fold`. Finished ones and stored measurements
are found again and a run that was cut off goes on, so the same command continues where it ended.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, read_write

from edu_align.config.arguments import key_of
from edu_align.config.comments import PRIMARY, conf_dir, parted_by_flag
from edu_align.config.compose import compose, of_this_machine
from edu_align.config.schema import PREFERENCE_SOURCES, Config
from edu_align.config.text import hydra_words
from edu_align.recipes.crossfit_table import Results, json_of, rows_of, table
from edu_align.reports.provenance import NAME, write_sources
from edu_align.runs.folder import RunFolder, StoredRun, find_run
from edu_align.utils import distributed as processes
from edu_align.utils.errors import UserError
from edu_align.utils.files import disk_errors, write_json, write_text
from edu_align.utils.hashing import digest
from edu_align.utils.tables import markdown, text

CROSSFIT = "crossfit"  # folder under outputs_root
FOLDS, LEAST = 5, 2
OURS = ("dataset.folds", "dataset.validation_fold", "evaluation.split", "evaluation.enabled")
NOT_HERE = ("chain", "preview", "force", "sweep")
# What is measured where `evaluation.metrics` names nothing, by a source that is trained on.
METRICS = {
    "mrbench": ("pair_accuracy_balanced", "selection_score", "context_use"),
    "bridge": ("pair_accuracy_bridge",),
    "cogtutorbugs": ("diagnosis",),
    "semeval2013": ("leaves_right_alone",),
}
OWN = "pair_accuracy_own"  # of any other source with scored replies


@dataclass(frozen=True)
class Plan:
    """`composed`: the config of fold 0 but for its name. `config`: the same as dataclasses. `words`: as given."""

    composed: DictConfig
    config: Config
    folds: int
    words: tuple[str, ...] = ()

    def fold(self, number: int) -> DictConfig:
        """The config of one fold's run. It measures nothing itself: the suite does, when all folds are there."""
        config = OmegaConf.create(self.composed)
        with read_write(config):
            config.dataset.validation_fold = number
            config.evaluation.enabled = False
            config.run_name = f"{self.config.run_name}-{number}" if self.config.run_name else None
        OmegaConf.set_readonly(config, True)
        return config

    @property
    def metrics(self) -> list[str]:
        """Those that `evaluation.metrics` names, or what the sources are for."""
        sources = self.config.dataset.sources
        usual = [name for source in sources for name in METRICS.get(source, ())]
        other = any(name in PREFERENCE_SOURCES and name not in METRICS for name in sources)
        return list(self.config.evaluation.metrics or [*usual, *([OWN] if other else [])])


@dataclass(frozen=True)
class Measured:
    """`folds`: the results of each fold by label; `pooled`: those of all; `notes`: sentences on what was left out."""

    folds: list[Results]
    pooled: Results
    notes: list[str]


def read_plan(words: Sequence[str]) -> Plan:
    """The plan of a command line. Errors, before anything is read: keys that the folds decide, a choice by the fold."""
    given = [word.partition("=")[2] for word in words if word.startswith("folds=")]
    found, rest = parted_by_flag(words)
    folders = [folder.resolve() for folder in found]
    rest = [word for word in rest if not word.startswith("folds=")]
    if flags := [word for word in rest if word.startswith("-")]:
        raise UserError(f"`{flags[0]}` belongs to `edu_align.train`. Leave it out.")
    for word in rest:
        if (key := key_of(word)) in OURS:
            raise UserError(f"`{word}`: the folds decide {key}. Leave it out; folds={FOLDS} says how many they are.")
        if key in NOT_HERE:
            raise UserError(f"`{word}`: one training setting is cross-fitted, and {key} is not for it. Leave it out.")
    if processes.count() > 1:
        raise UserError("`edu_align.crossfit` runs in one process. Start it without torchrun and accelerate launch.")
    folds = _number(given[-1]) if given else FOLDS
    typed = hydra_words(rest, [conf_dir(), *folders], several=False)
    typed = [*of_this_machine(typed, conf_dir(), folders, PRIMARY), *typed]
    composed = compose([*typed, f"dataset.folds={folds}", "evaluation.split=validation"], folders)
    config: Config = OmegaConf.to_object(composed)  # type: ignore[assignment]
    if config.chain:
        raise UserError(
            "`experiment` is a chain. Train its first stages apart, and cross-fit the last: init_from=<run>."
        )
    for key, off, value in (("keep", "last", config.trainer.keep), ("patience", "null", config.trainer.patience)):
        if str(value or "null") != off:
            raise UserError(
                f"`trainer.{key}={value}` chooses by the validation part, which is the fold that is measured here: the "
                f"model would have seen it. Set trainer.{key}={off}, and choose the number of steps beforehand."
            )
    plan = Plan(composed, config, folds, tuple(words))
    if not plan.metrics:
        raise UserError(
            f"`dataset={config.dataset.name}` has no scored replies. Name what is to be measured: "
            "evaluation.metrics=[human_nll]."
        )
    return plan


def _number(value: str) -> int:
    if not value.isdigit() or int(value) < LEAST:
        raise UserError(f"`folds` must be a whole number >= {LEAST}, got {value!r}. Example: folds={FOLDS}.")
    return int(value)


def run_crossfit(plan: Plan) -> Path:
    """Train, measure, pool, write and print; returns the folder of the results."""
    outputs = Path(plan.config.outputs_root)
    runs = train_folds(plan)
    measured = measure_folds(plan, runs)
    given = plan.config.evaluation
    rows = rows_of(measured.pooled, measured.folds, plan.config.seed, given.bootstrap_samples, given.confidence)
    labels = list(measured.pooled)
    folder = outputs / CROSSFIT / (plan.config.run_name or _name(plan.config, runs))
    cells, notes = table(rows, labels), [*measured.notes, *_reading(labels, plan.folds)]
    with disk_errors(outputs):
        folder.mkdir(parents=True, exist_ok=True)
        names = [run.path.name for run in runs]
        found: dict[str, Any] = {"folds": plan.folds, "runs": names, "models": labels, "metrics": plan.metrics}
        write_json(folder / "results.json", {**found, "notes": notes, "rows": json_of(rows)}, indent=1)
        title = f"# {labels[-1]} over {plan.folds} folds"
        lines = [title, "", *markdown(cells), "", *(f"- {note}" for note in notes), "", f"Runs: {', '.join(names)}."]
        write_text(folder / "table.md", "\n".join(lines) + "\n")
        stored = [StoredRun(run.path, run.record) for run in runs]
        write_sources(folder, ["python", "-m", "edu_align.crossfit", *plan.words], stored, given.split)
    print("\n".join([*text(cells), "", *(f"edu_align: {note}" for note in notes)]))
    print(f"edu_align: {folder / 'table.md'}, with results.json and {NAME}", flush=True)
    return folder


def _name(config: Config, runs: Sequence[RunFolder]) -> str:
    """The folder where `run_name` says nothing: what was trained, and a hash of the folds' ids."""
    known = digest([run.record.get("id") for run in runs])[:8]
    return f"{config.trainer.algorithm}-{config.dataset.name}-{config.model.name}-{len(runs)}-folds-{known}"


def _reading(labels: Sequence[str], folds: int) -> list[str]:
    return [
        f"each item is scored by the one of {folds} models that never saw its question, and each fitted rule by the "
        "one that was fitted without it; intervals resample groups of questions",
        f"a reward is compared with the likelihood (mean_logp) of {' and of '.join(labels[:-1])} on the same items",
    ]


def train_folds(plan: Plan) -> list[RunFolder]:
    """A finished run for every fold, trained now or before. Every fold's data is looked at before the first trains."""
    from edu_align.training.run import check_ahead, run

    configs = [plan.fold(number) for number in range(plan.folds)]
    for config in configs[1:]:
        check_ahead(config)
    runs = []
    for number, config in enumerate(configs):
        print(f"edu_align: fold {number + 1} of {plan.folds}", flush=True)
        done = run(config)
        assert done is not None  # only a preview makes none
        runs.append(done)
    return runs


def measure_folds(plan: Plan, runs: Sequence[RunFolder]) -> Measured:
    """Every fold's run, what it started from and the base on the fold's questions, and all folds together."""
    from edu_align.config.stored import stored_config
    from edu_align.evaluation.suite.pooling import left_out, pooled, pooled_weights
    from edu_align.evaluation.suite.run import measure, suite_of_run
    from edu_align.evaluation.suite.several import Shared

    shared, suites = Shared(), []
    outputs = Path(plan.config.outputs_root)
    for run in runs:
        config = stored_config(run.path / "config.yaml", {"evaluation.enabled": "true"})
        config.outputs_root, config.data_root = str(outputs), plan.config.data_root
        suites.append(shared.suite(suite_of_run(find_run("run", str(run.path), outputs), config, outputs)))
    left = left_out([suite.data for suite in suites], plan.metrics)
    folds, notes = [], list[str]()
    for number, suite in enumerate(suites):
        print(f"edu_align: measuring fold {number + 1} of {plan.folds}", flush=True)
        found = measure(suite, plan.metrics)
        folds.append(dict(zip(_labels(found.results, runs), found.results.values(), strict=True)))
        notes += [f"fold {number}: {note}" for note in found.notes if "left out" in note]
    if left:
        sources = ", ".join(plan.config.dataset.sources)
        notes.append(
            f"{left} held-out records were measured in no fold, because what the run started from had trained on their "
            f"question; one that was trained with dataset.leave_out=[{sources}] loses none"
        )
    weights = pooled_weights([suite.data for suite in suites], plan.metrics)
    results: Results = {}
    for label in folds[0]:
        results[label], told = pooled([fold[label] for fold in folds], weights)
        notes += told
    if not any(results[label] for label in results):
        raise UserError("Nothing could be measured in any fold. " + " ".join(dict.fromkeys(notes)))
    return Measured(folds, results, list(dict.fromkeys(notes)))


def _labels(results: Iterable[str], runs: Sequence[RunFolder]) -> list[str]:
    """The labels of one fold's suite; the last one, whose name may hold its run's, becomes that of all folds."""
    return [*list(results)[:-1], f"{str(runs[0].record['trainer']).upper()} cross-fitted"]
