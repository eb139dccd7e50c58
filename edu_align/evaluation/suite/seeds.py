"""One model under several seeds as one: item by item the mean over the seeds, so that intervals resample questions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from edu_align.errors import UserError
from edu_align.evaluation.suite.items import MetricResult, Series


def averaged(results: Sequence[Mapping[str, MetricResult]]) -> dict[str, MetricResult]:
    """{metric: result} whose items are means over `results`, one a seed, weighted as the seeds weight the item.

    Metrics, numbers and items that not every seed has are left out. Baselines are the first seed's: they do not depend
    on a model. An interval over such items says how far other questions could move the mean over these seeds; the
    spread between seeds is shown apart. Raises UserError for no result.
    """
    if not results:
        raise UserError("There is no result to average, got 0 seeds. Give at least one.")
    first, *others = results
    found = {}
    for metric, result in first.items():
        beside = [other[metric].measured for other in others if metric in other]
        if len(beside) == len(others):
            measured = {
                name: _together([series, *(numbers[name] for numbers in beside)])
                for name, series in result.measured.items()
                if all(name in numbers for numbers in beside)
            }
            found[metric] = replace(result, measured=measured)
    return found


def _together(series: Sequence[Series]) -> Series:
    """The items that all of them have, in the order of the first: sum(w x) / sum(w) over the seeds, weight mean(w)."""
    places = [{item: i for i, item in enumerate(one.items)} for one in series]
    rows = []
    for item, group in zip(series[0].items, series[0].groups, strict=True):
        if all(item in place for place in places):
            weights = [one.weights[place[item]] for one, place in zip(series, places, strict=True)]
            values = [one.values[place[item]] for one, place in zip(series, places, strict=True)]
            mean = fmean(values, weights) if any(weights) else values[0]
            rows.append((item, group, mean, fmean(weights)))
    return Series.of(rows)
