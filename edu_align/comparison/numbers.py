"""The numbers of every model from its stored items, beside its base, its SFT parent and the rules."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from edu_align.comparison.models import Gap, Model, Number
from edu_align.comparison.significance import holm, p_value, samples_for
from edu_align.errors import UserError
from edu_align.evaluation.suite.summarise import summarise

BY_REPLY = ("arithmetic_correct",)  # counts only replies that hold a sum, so each model has items of its own


def numbers_of(models: Sequence[Model], seed: int, samples: int, confidence: float) -> tuple[list[Number], int]:
    """All numbers, and how many paired differences are tested in all; `adjusted` counts every one of those.

    Raises UserError where two models have the same number over other items, those in BY_REPLY apart.
    """
    _check_items(models)
    by_label = {model.label: model for model in models}
    found: list[Number] = []
    for base in dict.fromkeys(model.base for model in models):
        beside = [model for model in models if model.base == base]
        results = {model.label: model.results for model in beside}
        parents = {model.label: model.sft or "" for model in beside}
        rows = summarise(results, seed, samples, confidence, parents)
        found += [_number(row, by_label[row["label"]]) for row in rows]
    tests = [(at, of) for at, n in enumerate(found) for of in ("to_base", "to_sft") if getattr(n, of) is not None]
    return _corrected(found, by_label, tests, seed, samples_for(len(tests), 1 - confidence, samples)), len(tests)


def _check_items(models: Sequence[Model]) -> None:
    first: dict[tuple[str, str], tuple[str, frozenset[str]]] = {}
    for model in models:
        for metric, result in model.results.items():
            for name, series in result.measured.items():
                items = frozenset(series.items)
                label, known = first.setdefault((metric, name), (model.label, items))
                if items != known and not _by_reply(name):
                    raise UserError(
                        f"{name} was measured on other items: {label} on {len(known)}, {model.label} on {len(items)}, "
                        f"of which {len(items & known)} are shared. Such numbers cannot be compared. Evaluate both "
                        "with the same data_root, dataset and evaluation settings, or leave one out."
                    )


def _by_reply(name: str) -> bool:
    """Whether a number has other items for each model, so that no difference is taken."""
    return name.split("/")[0] in BY_REPLY


def _number(row: Mapping[str, Any], model: Model) -> Number:
    is_base, by_reply = model.label == model.base, _by_reply(row["name"])
    return Number(
        metric=row["metric"],
        name=row["name"],
        label=row["label"],
        value=row["value"],
        low=row["low"],
        high=row["high"],
        n=row["n"],
        groups=row["groups"],
        unit=row["unit"],
        better=row["better"],
        baselines={rule: spread["value"] for rule, spread in row["baselines"].items()},
        strongest=row["strongest_baseline"],
        to_strongest=_gap(row["difference_to_strongest"]),
        to_base=None if is_base or by_reply else _gap(row["difference_to_base"]),
        to_sft=None if by_reply else _gap(row["difference_to_sft"]),
    )


def _gap(plain: Mapping[str, Any] | None) -> Gap | None:
    return None if plain is None else Gap(plain["value"], plain["low"], plain["high"])


def _corrected(
    numbers: Sequence[Number], models: Mapping[str, Model], tests: Sequence[tuple[int, str]], seed: int, samples: int
) -> list[Number]:
    """The same numbers with Holm's p in their differences. A difference of one group counts as a test of p = 1."""
    p_values = []
    for at, of in tests:
        number, model = numbers[at], models[numbers[at].label]
        other = model.base if of == "to_base" else str(model.sft)
        mine, theirs = (models[x].results[number.metric].measured[number.name] for x in (model.label, other))
        p = p_value(mine, theirs, seed=seed, samples=samples)
        p_values.append(1.0 if p is None else p)
    result = list(numbers)
    for (at, of), adjusted in zip(tests, holm(p_values), strict=True):
        gap: Gap = getattr(result[at], of)
        changed = replace(gap, adjusted=adjusted)
        result[at] = replace(result[at], to_base=changed) if of == "to_base" else replace(result[at], to_sft=changed)
    return result
