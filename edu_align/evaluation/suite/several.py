"""Several runs measured in one go: what their suites share is there once, and one table shows all of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edu_align.evaluation.suite.data import SuiteData
from edu_align.evaluation.suite.registry import METRICS
from edu_align.evaluation.suite.results import MetricResult
from edu_align.evaluation.suite.run import BASE, Suite, SuiteResults
from edu_align.evaluation.suite.store import Store
from edu_align.evaluation.suite.subject import LoadedSubject
from edu_align.evaluation.suite.summarise import SFT, Row, summarise
from edu_align.utils.hashing import digest


class Shared:
    """The models and the data that suites of one process have in common."""

    def __init__(self) -> None:
        self._subjects: dict[Path, LoadedSubject] = {}
        self._data: list[SuiteData] = []

    def suite(self, suite: Suite) -> Suite:
        """The suite with a model, or data, that an earlier one brought in place of its own equal ones.

        Models are equal where their results are stored in one folder, so the stored results stay what they were.
        """
        subjects = []
        for store in suite.stores().values():
            own = store.subject
            if own.reference is not None:
                own.reference = self._subjects[Store(own.reference, suite.data, suite.settings).model_folder]
            subjects.append(self._subjects.setdefault(store.model_folder, own))
        return replace(suite, subjects=tuple(subjects), data=self._same(suite.data))

    def _same(self, data: SuiteData) -> SuiteData:
        found = next((known for known in self._data if _reads(known) == _reads(data)), None)
        if found is None:
            self._data.append(data)
        return found or data


def _reads(data: SuiteData) -> tuple[Any, ...]:
    return data.dataset, str(data.data_root), str(data.outputs_root), data.settings, data.seen


def by_base(suites: Mapping[str, Suite]) -> list[str]:
    """The names in an order of measuring in which each base model is loaded once.

    Runs of one base follow each other, those of full fine-tuning last: their weights take the place of the base's.
    """
    bases = [_base(suite) for suite in suites.values()]
    places = {name: (bases.index(_base(suite)), _is_full(suite)) for name, suite in suites.items()}
    return sorted(suites, key=places.__getitem__)


def _base(suite: Suite) -> Any:
    known = suite.subjects[0].identity
    return known["base_weights"], known["hardware"]


def _is_full(suite: Suite) -> bool:
    return any(subject.weights.config.adapter.name == "full" for subject in suite.subjects)


Measured = tuple[Suite, SuiteResults]


@dataclass(frozen=True)
class _Place:
    """Where a result stands: the model's folder, its base's, and what its key says beside it ("" of a judge's)."""

    model: Path
    base: Path
    others: str


def rows_of(measured: Sequence[Measured], seed: int, samples: int, confidence: float) -> list[Row]:
    """The rows of `summarise` over all models of these suites, each model once; those of one number stand together.

    A label that two models have becomes the run's name. Results that were measured on other records, or with other
    settings, are compared among themselves, and the number's name says whose data that is.
    """
    labels, parents = _labels(measured), dict[str, str]()
    found: dict[str, dict[_Place, MetricResult]] = {}
    whose: dict[tuple[str, str], str] = {}
    for suite, results in measured:
        stores = suite.stores()
        folders = {label: store.model_folder for label, store in stores.items()}
        parents |= {labels[folders[label]]: labels[folders[parent]] for label, parent in _parents(folders).items()}
        for label, metrics in results.results.items():
            for metric, result in metrics.items():
                others = _other_keys(stores[label], metric)
                whose.setdefault((metric, others), suite.run.name if suite.run else label)
                place = _Place(folders[label], next(iter(folders.values())), others)
                found.setdefault(metric, {})[place] = result
    rows = []
    for metric, by_place in found.items():
        variants = list(dict.fromkeys(place.others for place in by_place))
        for others, base in dict.fromkeys((place.others, place.base) for place in by_place):
            chosen = {labels[base]: dict[str, MetricResult]()}
            chosen |= {
                labels[place.model]: {metric: result}
                for place, result in by_place.items()
                if (place.others, place.base) == (others, base)
            }
            of = f" (data of {whose[metric, others]})" if others != variants[0] else ""
            found_rows = summarise(chosen, seed, samples, confidence, parents)
            rows += [{**row, "name": row["name"] + of} for row in found_rows]
    return _together(rows)


def asked(measured: Sequence[Measured]) -> list[str]:
    """The labels, in `rows_of`, of the models that the suites are about: the last of each."""
    labels = _labels(measured)
    return [labels[list(suite.stores().values())[-1].model_folder] for suite, _ in measured]


def _other_keys(store: Store, metric: str) -> str:
    """What a stored result depends on beside the model."""
    return digest({**store.key(metric), "model": None}) if metric in METRICS else ""


def _parents(labels: Iterable[str]) -> dict[str, str]:
    """For each label of a chain that of the SFT model that it goes on from; its own where there is none."""
    found, before = {}, None
    for label in labels:
        found[label] = before or label
        before = label if label.split()[0] == SFT else before
    return found


def _labels(measured: Sequence[Measured]) -> dict[Path, str]:
    """A label for the folder of each model: its suite's, or its run's name where two models have that one."""
    subjects = {store.model_folder: store.subject for suite, _ in measured for store in suite.stores().values()}
    used = [subject.label for subject in subjects.values()]
    labels = dict[Path, str]()
    for folder, subject in subjects.items():
        made = subject.weights.folder or subject.weights.adapter
        other = made.name if made else f"{BASE} {folder.name}"
        label = subject.label if used.count(subject.label) == 1 else other
        labels[folder] = label if label not in labels.values() else folder.name
    return labels


def _together(rows: list[Row]) -> list[Row]:
    """In the order of the metrics and, within one, of its numbers' first appearance."""
    places = {(row["metric"], row["name"]): 0 for row in rows}
    metrics = list(dict.fromkeys(metric for metric, _ in places))
    order = {key: (metrics.index(key[0]), place) for place, key in enumerate(places)}
    return sorted(rows, key=lambda row: order[row["metric"], row["name"]])
