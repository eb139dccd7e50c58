"""The suite over a run and the models that it came from, or a model alone; stored results are not measured again."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edu_align.config.schema import Config
from edu_align.data.datamodule import trained_groups
from edu_align.evaluation.suite.asking import prepare
from edu_align.evaluation.suite.data import Settings, SourceAbsentError, SuiteData
from edu_align.evaluation.suite.registry import METRICS
from edu_align.evaluation.suite.results import MetricResult
from edu_align.evaluation.suite.reward import RewardSubject
from edu_align.evaluation.suite.store import READS, Store, append_read
from edu_align.evaluation.suite.subject import LoadedSubject, Weights
from edu_align.models.speed import Speed, watched
from edu_align.runs.finished import REWARD, check_base
from edu_align.runs.folder import RunFolder, ancestors, find_run, read_record
from edu_align.runs.start import is_foreign
from edu_align.utils.errors import UserError
from edu_align.utils.files import write_json

BASE = "base"
IN_RUN = "evaluation"  # folder of a run that says which stored results are its own


@dataclass(frozen=True)
class Suite:
    """Models to measure, the base first, on one split. `run` is the folder that lists them, if any; `trained_on` are
    the sources that they were trained on here.
    """

    subjects: tuple[LoadedSubject, ...]
    data: SuiteData
    settings: Settings
    run: Path | None = None
    trained_on: frozenset[str] = frozenset()

    def stores(self) -> dict[str, Store]:
        return {subject.label: Store(subject, self.data, self.settings) for subject in self.subjects}


@dataclass(frozen=True)
class SuiteResults:
    """`results`: {label: {metric: result}}, the base first; `notes`: what was left out or measured before; `speed`: of
    what was computed now.
    """

    results: dict[str, dict[str, MetricResult]]
    notes: tuple[str, ...]
    speed: Speed = field(default_factory=Speed)


def suite_of_run(run: RunFolder, config: Config, outputs: Path) -> Suite:
    """The base model, the runs that `run` started from, the oldest first, and the run itself.

    An adapter that no run made stands before those that started from it. DPO's reference is the model that it started
    from; an SFT run's is the base model. Raises UserError for a base model that is not the one that the run was trained
    on.
    """
    named = run.record["init_from"]
    own_run = named and not is_foreign(run.record)
    start = find_run("init_from", named, outputs, config.accept_changed) if own_run else None
    chain = [*reversed(ancestors(start)), run.path]
    settings = settings_of(config)
    subjects = [LoadedSubject(BASE, Weights(config), settings.max_length)]
    check_base(f"run={run.path.name}", run, subjects[0].location)
    trained_on = set(config.dataset.sources)
    if is_foreign(first := read_record(chain[0]) or {}):
        own = replace(config, adapter=replace(config.adapter, name="lora"))
        weights = Weights(own, adapter=Path(first["init_from"]))
        subjects.append(LoadedSubject("ADAPTER", weights, settings.max_length, subjects[0]))
    for folder in chain:
        record = read_record(folder) or {}
        trained_on |= set((record.get("data") or {}).get("sources") or {})
        own = replace(config, adapter=replace(config.adapter, name=record["adapter"]))
        kind: type[LoadedSubject] = RewardSubject if record["trainer"] == REWARD else LoadedSubject
        reference = subjects[0] if record["trainer"] == "sft" else subjects[-1]
        label = _label(record["trainer"].upper(), folder, [subject.label for subject in subjects])
        scored = None if kind is RewardSubject else reference
        subjects.append(kind(label, Weights(own, folder), settings.max_length, scored))
    seen = frozenset(trained_groups(chain))
    data = SuiteData(config.dataset, config.data_root, config.outputs_root, settings, seen)
    return Suite(tuple(subjects), data, settings, run.path, frozenset(trained_on))


def suite_of_model(config: Config, adapter: Path | None) -> Suite:
    """A model that no run made here and, with `adapter`, an adapter on top of it, whose reference is the model."""
    settings = settings_of(config)
    subjects = [LoadedSubject(BASE, Weights(config), settings.max_length)]
    if adapter is not None:
        weights = Weights(config, adapter=checked_adapter(adapter))
        subjects.append(LoadedSubject("adapter", weights, settings.max_length, subjects[0]))
    data = SuiteData(config.dataset, config.data_root, config.outputs_root, settings)
    return Suite(tuple(subjects), data, settings, trained_on=frozenset(config.dataset.sources))


def settings_of(config: Config) -> Settings:
    """What the suite takes from a config; everything else is the same for all models."""
    given = config.evaluation
    return Settings(split=given.split, max_new_tokens=given.max_new_tokens, max_groups=given.max_groups)


def checked_adapter(folder: Path) -> Path:
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (folder / name).is_file():
            raise UserError(
                f"`adapter={folder}` has no {name}, so it is no saved PEFT adapter. Give the folder that holds both."
            )
    return folder


def measure(suite: Suite, metrics: Sequence[str]) -> SuiteResults:
    """Every metric of every model, each stored as soon as it is there; the run's folder lists them."""
    speed = Speed()
    with watched(speed):
        results, notes, stores = _measured(suite, metrics)
    if suite.run is not None:
        _list_in(suite.run, stores, notes, speed)
    return SuiteResults(results, notes, speed)


def _measured(
    suite: Suite, metrics: Sequence[str]
) -> tuple[dict[str, dict[str, MetricResult]], tuple[str, ...], dict[str, Store]]:
    """The results, the notes and the stores, by label."""
    stores, notes, absent = suite.stores(), dict[str, None](), dict[str, list[str]]()
    results: dict[str, dict[str, MetricResult]] = {}
    for label, store in stores.items():
        missing = [name for name in metrics if not store.path(name).is_file()]
        if missing and suite.settings.split == "test":
            notes.update(dict.fromkeys(_note_read(suite, store, missing)))
        if missing:
            print(f"edu_align: measuring {label}: {', '.join(missing)}", flush=True)
            prepare(store.subject, [METRICS[name] for name in missing], suite.data, suite.settings)
        results[label] = dict(_results(store, metrics, absent))
        store.subject.release()
    for reason, names in absent.items():
        notes[f"{', '.join(dict.fromkeys(names))} left out: {reason}"] = None
    if suite.data.left_out:
        notes[f"not measured on {suite.data.left_out} records: their question was trained on"] = None
    return results, tuple(notes), stores


def _results(store: Store, metrics: Sequence[str], absent: dict[str, list[str]]) -> Iterator[tuple[str, MetricResult]]:
    """Metric by metric; those that cannot be measured go into `absent`, by the reason."""
    for name in metrics:
        found = store.read(name)
        if found is None:
            try:
                found = METRICS[name](store.subject, store.data, store.settings)
            except SourceAbsentError as error:
                absent.setdefault(str(error), []).append(name)
                continue
            store.write(name, found)
        yield name, found


def _note_read(suite: Suite, store: Store, missing: Sequence[str]) -> Iterator[str]:
    """Write the read of the test split into the model's folder and the run's; say whether that happened before."""
    earlier = store.note_read(missing)
    label = store.subject.label
    if suite.run is not None and store.subject is suite.subjects[-1]:
        (suite.run / IN_RUN).mkdir(exist_ok=True)
        append_read(suite.run / IN_RUN / READS, missing)
    if earlier:
        yield f"{label} was measured on the test split before, {len(earlier)} times, last {earlier[-1]}"


def _list_in(run: Path, stores: Mapping[str, Store], notes: Sequence[str], speed: Speed) -> None:
    """Write the run's evaluation/<split>.json: label to metric to file, relative to the run's folder; and how fast."""
    files = {
        label: {name: os.path.relpath(store.path(name), run) for name in METRICS if store.path(name).is_file()}
        for label, store in stores.items()
    }
    (run / IN_RUN).mkdir(exist_ok=True)
    split = next(iter(stores.values())).settings.split
    write_json(run / IN_RUN / f"{split}.json", {"files": files, "notes": list(notes), **speed.summary()})


def _label(wanted: str, folder: Path, used: Sequence[str]) -> str:
    return wanted if wanted not in used else f"{wanted} {folder.name}"
