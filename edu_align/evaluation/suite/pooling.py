"""The stored items of several folds as one result, as if one model had been measured on all of them.

Each fold's model is measured on the questions that it never saw, beside rules that never saw them, so that the items of
all folds are items of one cross-fitted model. A statistic of the suite is a weighted mean of items: those of the folds
are put together and nothing else is averaged.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from edu_align.evaluation.suite.data import SuiteData, available
from edu_align.evaluation.suite.registry import WEIGHED, reads
from edu_align.evaluation.suite.results import MetricResult, Series
from edu_align.records import ResponseGroup

Weights = Mapping[str, float]  # of an item


def pooled_weights(parts: Sequence[SuiteData], metrics: Iterable[str]) -> dict[str, Weights]:
    """For each of `metrics` whose weights depend on the other pairs: those of its items over the pairs of all folds.

    w = min(n_ij, n_ji) / n_ij has to count all of them: balanced fold by fold, the pooled pairs would not be balanced,
    and a pair that is alone in its fold would count nothing.
    """
    found: dict[str, Weights] = {}
    for metric in metrics:
        if metric in WEIGHED:
            part, pairs_of = WEIGHED[metric]
            pairs = pairs_of([group for data in parts for group in _groups(data, part)], parts[0].settings.margin)
            found[metric] = dict(zip(pairs.items, pairs.weights, strict=True))
    return found


def left_out(parts: Sequence[SuiteData], metrics: Sequence[str]) -> int:
    """How many records that `metrics` would be measured on a measured run has seen, over all folds.

    To be asked before anything is measured: what reads further parts adds theirs to the count.
    """
    for data in parts:
        for part in dict.fromkeys(part for metric in metrics for part in reads(metric)):
            data.fingerprint(part)
    return sum(data.left_out for data in parts)


def _groups(data: SuiteData, part: str) -> list[ResponseGroup]:
    return available(lambda: getattr(data, part))


def pooled(
    folds: Sequence[Mapping[str, MetricResult]], weights: Mapping[str, Weights]
) -> tuple[dict[str, MetricResult], list[str]]:
    """{metric: result} over the items of all folds, and sentences on what could not be pooled.

    A metric, number or rule that a fold does not have is pooled over the others. Items that several folds have were
    measured by models that did not all hold them out: such a metric is left out.
    """
    found, notes = {}, []
    for metric in dict.fromkeys(metric for fold in folds for metric in fold):
        results = [fold[metric] for fold in folds if metric in fold]
        if _repeated(results):
            notes.append(f"{metric} left out: every fold measures the same items, and none of them holds those out")
        else:
            found[metric] = _together(results, weights.get(metric))
            if len(results) < len(folds):
                notes.append(f"{metric} is of {len(results)} of {len(folds)} folds: the others have no item of it")
    return found, notes


def _repeated(results: Sequence[MetricResult]) -> bool:
    for name in dict.fromkeys(name for result in results for name in result.measured):
        items = [item for result in results if name in result.measured for item in result.measured[name].items]
        if len(set(items)) < len(items):
            return True
    return False


def _together(results: Sequence[MetricResult], weights: Weights | None) -> MetricResult:
    first = results[0]
    names = dict.fromkeys(name for result in results for name in result.measured)
    measured = {name: joined([r.measured[name] for r in results if name in r.measured], weights) for name in names}
    baselines: dict[str, dict[str, Series]] = {}
    for name in names:
        having = [result.baselines.get(name, {}) for result in results]
        rules = dict.fromkeys(rule for rules in having for rule in rules)
        baselines[name] = {rule: joined([each[rule] for each in having if rule in each], weights) for rule in rules}
    units = {name: unit for result in results for name, unit in result.units.items()}
    better = {name: way for result in results for name, way in result.better.items()}
    notes = tuple(dict.fromkeys(note for result in results for note in result.notes))
    return replace(first, measured=measured, baselines=baselines, units=units, better=better, notes=notes, examples=())


def joined(series: Sequence[Series], weights: Weights | None = None) -> Series:
    """The items of all `series`, one after the other, each with its own weight or that of `weights`."""
    rows = [row for one in series for row in zip(one.items, one.groups, one.values, one.weights, strict=True)]
    if weights is not None:
        rows = [(item, group, value, weights[item]) for item, group, value, _ in rows]
    return Series.of(rows)
