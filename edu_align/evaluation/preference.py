"""How well a model's scores order replies as people did, beside rules that read no mathematics.

Every number comes with how many items and independent groups it rests on, and with an interval from resampling whole
groups. Baselines are measured on the very same items, and the difference to the strongest one is paired.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from edu_align.evaluation import baselines
from edu_align.evaluation.bootstrap import SHARE, Bounds, Interval, difference, interval
from edu_align.records import ResponseGroup, pairs_of
from edu_align.utils.errors import UserError

Scores = tuple[float, ...]  # one number for every response of a group, higher is better


@dataclass(frozen=True)
class ScoredGroup:
    """A group and the log-probability of each of its replies.

    `logp`: sum over the reply's tokens, in nats; `tokens`: how many tokens that are; `reference_logp`: the same sum
    under the frozen model that training started from, if any; `base_logp`: under the base model, for a run that
    continued another one's model. Each has one entry a response. Raises UserError for another length, a
    log-probability that is not finite, or a reply of no tokens.
    """

    group: ResponseGroup
    logp: tuple[float, ...]
    tokens: tuple[int, ...]
    reference_logp: tuple[float, ...] | None = None
    base_logp: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        named = {"logp": self.logp, "tokens": self.tokens}
        if self.reference_logp is not None:
            named["reference_logp"] = self.reference_logp
        if self.base_logp is not None:
            named["base_logp"] = self.base_logp
        for name, values in named.items():
            if len(values) != len(self.group.responses):
                raise UserError(
                    f"Group {self.group.id!r} has {len(self.group.responses)} responses, got {len(values)} of "
                    f"`{name}`. Score every response once."
                )
            for value in values:
                if not math.isfinite(value) or (name == "tokens" and value < 1):
                    needed = "at least 1" if name == "tokens" else "finite"
                    raise UserError(
                        f"Group {self.group.id!r}: `{name}` must be {needed}, got {value}. Drop the group, or look "
                        "for an empty reply or a model that returns NaN."
                    )


def model_scores(scored: Sequence[ScoredGroup]) -> dict[str, list[Scores]]:
    """Scorer to its numbers, one tuple a group: `logp` (nats), `mean_logp` (nats per token) and, where every group has
    the other model's, `implicit` (a reference) and `implicit_from_base` (the base model), in nats.

    `implicit` is DPO's implicit reward over beta, log pi(y|x) - log pi_ref(y|x) (Rafailov et al. 2023, equation 5);
    beta > 0 scales every reward alike, so it changes neither which reply wins a pair nor which is ranked first.
    `implicit_from_base` is log pi(y|x) - log pi_base(y|x), for a run that continued another one's model, which is its
    reference: the sum over both runs, so what the first one learned counts as well. Raises UserError where some groups
    have them and others have not: the metrics would be over different items.
    """
    logps = [item.logp for item in scored]
    result: dict[str, list[Scores]] = {
        "logp": logps,
        "mean_logp": [tuple(a / n for a, n in zip(item.logp, item.tokens, strict=True)) for item in scored],
    }
    for name, attribute, others in (
        ("implicit", "reference_logp", [item.reference_logp for item in scored]),
        ("implicit_from_base", "base_logp", [item.base_logp for item in scored]),
    ):
        known = [other for other in others if other is not None]
        if known and len(known) < len(scored):
            without = [item.group.id for item, other in zip(scored, others, strict=True) if other is None]
            raise UserError(
                f"{len(without)} of {len(scored)} groups have no `{attribute}`, the first is {without[0]!r}. Score all "
                "groups with that model or none."
            )
        if known:
            result[name] = [
                tuple(a - b for a, b in zip(own, other, strict=True)) for own, other in zip(logps, known, strict=True)
            ]
    return result


def pair_values(groups: Sequence[ResponseGroup], scores: Sequence[Scores], margin: float) -> list[float]:
    """For every pair at `margin`, in order: 1 where the chosen reply has the higher score, 1/2 for a tie, else 0."""
    return [
        win(numbers[pair.chosen], numbers[pair.rejected])
        for group, numbers in zip(groups, scores, strict=True)
        for pair in pairs_of(group, margin)
    ]


def selected_scores(groups: Sequence[ResponseGroup], scores: Sequence[Scores]) -> list[float]:
    """Human score of the reply that is ranked first in each group; replies that tie for it count by their mean."""
    result = []
    for group, numbers in zip(groups, scores, strict=True):
        best = max(numbers)
        first = [response.score for response, number in zip(group.responses, numbers, strict=True) if number == best]
        result.append(sum(first) / len(first))
    return result


def first_place(scores: Sequence[float]) -> float:
    """1 where the first score is the highest, shared with those that tie with it, else 0."""
    best = max(scores)
    return 1 / scores.count(best) if scores[0] == best else 0.0


def win(chosen: float, rejected: float) -> float:
    """1 where the chosen reply's score is the higher one, 1/2 for a tie, else 0."""
    if chosen == rejected:
        return 0.5
    return 1.0 if chosen > rejected else 0.0


AllScores = dict[str, list[Scores]]  # name of a scorer or rule -> one tuple a group
Options = Callable[..., tuple[list["Metric"], list["Metric"]]]  # `measure` with its settings filled in
CEILING = "oracle"  # what no model can exceed; never a baseline to beat


@dataclass(frozen=True)
class Metric:
    """A value with its interval, and on the same items the paired differences to the strongest baseline and to the
    model before training.
    """

    name: str
    spread: Interval
    strongest: str | None = None
    difference: Interval | None = None
    change: Interval | None = None

    @property
    def beats_strongest(self) -> bool:
        """Whether the whole interval of the difference lies above 0."""
        return self.difference is not None and self.difference.low > 0

    def as_json(self) -> dict[str, Any]:
        """Plain dict; NaN becomes None, which JSON can hold."""
        result: dict[str, Any] = {**_as_json(self.spread), "n": self.spread.n, "clusters": self.spread.clusters}
        if self.strongest is not None and self.difference is not None:
            result["strongest_baseline"] = self.strongest
            result["difference"] = _as_json(self.difference)
            result["beats_baseline"] = self.beats_strongest
        if self.change is not None:
            result["change"] = _as_json(self.change)
        return result


def measure(
    values: Mapping[str, Sequence[float]],
    rules: Mapping[str, Sequence[float]],
    clusters: Sequence[str],
    earlier: Mapping[str, Sequence[float]],
    bounds: Bounds,
    *,
    seed: int,
    samples: int = 2000,
    confidence: float = 0.95,
) -> tuple[list[Metric], list[Metric]]:
    """(metrics, baselines) from per-item values by name; all lists are over the same items.

    `earlier`: the values of the model before training, by the same names as far as it has them. `bounds`: between which
    an item's value lies. The strongest baseline is the one of the highest mean, the ceiling apart.
    """
    spread = partial(interval, seed=seed, samples=samples, confidence=confidence, bounds=bounds)
    paired = partial(difference, seed=seed, samples=samples, confidence=confidence, bounds=bounds)
    measured = {name: Metric(name, spread(items, clusters)) for name, items in rules.items()}
    strongest = max((name for name in rules if name != CEILING), key=lambda name: measured[name].spread.mean)
    metrics = []
    for name, items in values.items():
        gap = paired(items, rules[strongest], clusters)
        change = paired(items, earlier[name], clusters) if name in earlier else None
        metrics.append(Metric(name, spread(items, clusters), strongest, gap, change))
    return metrics, list(measured.values())


def evaluate_preferences(
    scored_groups: Sequence[ScoredGroup],
    margin: float,
    seed: int,
    samples: int = 2000,
    confidence: float = 0.95,
    training_groups: Iterable[ResponseGroup] | None = None,
) -> dict[str, dict[str, Any]]:
    """Pair accuracy and selection score of one model, ready for JSON.

    Metrics are `pair_accuracy_logp`, `pair_accuracy_mean_logp` and, with a reference, `pair_accuracy_implicit`, with
    the base model's scores `pair_accuracy_implicit_from_base` (shares, 0 to 1, over all pairs whose scores differ by at
    least `margin`; ties count 1/2), and the same as `selection_score_*` (mean human score of the reply ranked first, on
    the source's own scale, so only where all groups are of one source). Each holds value, low, high, n, clusters,
    strongest_baseline, difference (paired, to that baseline), beats_baseline and, of `logp` and `mean_logp` with a
    reference, change (paired, to the reference). Beside them: `baselines` by family
    (`pair_accuracy`, `selection_score`) and rule, `verdicts` (a sentence for every metric not shown to beat its
    strongest baseline) and `settings`. The tutor prior reads only `training_groups`. Raises UserError for no group, no
    pair, a margin <= 0, or a training group that is tested too.
    """
    groups = [item.group for item in scored_groups]
    scores = model_scores(scored_groups), _earlier(scored_groups)
    return evaluate_scores(groups, *scores, margin, seed, samples, confidence, training_groups)


def evaluate_scores(
    groups: Sequence[ResponseGroup],
    model: AllScores,
    earlier: AllScores,
    margin: float,
    seed: int,
    samples: int = 2000,
    confidence: float = 0.95,
    training_groups: Iterable[ResponseGroup] | None = None,
) -> dict[str, dict[str, Any]]:
    """The same of any scorers, by name; `earlier`: what they said before training, as far as that is known."""
    training = None if training_groups is None else list(training_groups)
    _check_groups(groups, training, margin)
    options = partial(measure, seed=seed, samples=samples, confidence=confidence)
    rules = {name: [rule(group) for group in groups] for name, rule in baselines.pair_rules(training).items()}
    metrics, by_rule = _pair_accuracy(groups, (model, rules, earlier), margin, options)
    measured = {"pair_accuracy": by_rule}
    sources = sorted({group.source for group in groups})
    if len(sources) == 1:
        selection, measured["selection_score"] = _selection_score(groups, (model, rules, earlier), options)
        metrics += selection
    result: dict[str, dict[str, Any]] = {metric.name: metric.as_json() for metric in metrics}
    result["baselines"] = {
        family: {metric.name: metric.as_json() for metric in by_name} for family, by_name in measured.items()
    }
    result["verdicts"] = {
        metric.name: not_shown(metric.name, metric.spread.mean, metric.strongest, _as_json(metric.difference))
        for metric in metrics
        if metric.difference is not None and not metric.beats_strongest
    }
    result["settings"] = {"margin": margin, "seed": seed, "samples": samples, "confidence": confidence}
    result["settings"] |= {"groups": len(groups), "sources": sources}
    return result


def _earlier(scored: Sequence[ScoredGroup]) -> AllScores:
    """What the reference says of every reply, as `model_scores`; empty where a group has none."""
    references = [item.reference_logp for item in scored]
    if any(logp is None for logp in references):
        return {}
    return model_scores([ScoredGroup(item.group, item.reference_logp or (), item.tokens) for item in scored])


def _pair_accuracy(
    groups: Sequence[ResponseGroup], scores: tuple[AllScores, ...], margin: float, options: Options
) -> tuple[list[Metric], list[Metric]]:
    """`scores`: of the model, the rules, and the model before training."""
    clusters = [group.group for group in groups for _ in pairs_of(group, margin)]  # in the order of `pair_values`
    if not clusters:
        raise UserError(
            f"No two replies of the {len(groups)} groups differ by the margin {margin}. Lower `dataset.margin` or "
            "evaluate on more groups."
        )
    model, rules, earlier = ({name: pair_values(groups, s, margin) for name, s in each.items()} for each in scores)
    return options(_named("pair_accuracy", model), rules, clusters, _named("pair_accuracy", earlier), SHARE)


def _selection_score(
    groups: Sequence[ResponseGroup], scores: tuple[AllScores, ...], options: Options
) -> tuple[list[Metric], list[Metric]]:
    names = {"chance": "random", "longer": "longest"}
    model, rules, earlier = ({name: selected_scores(groups, s) for name, s in each.items()} for each in scores)
    ranked = {names.get(name, name): values for name, values in rules.items()}
    ranked[CEILING] = selected_scores(groups, [baselines.oracle(group) for group in groups])
    given = [response.score for group in groups for response in group.responses]
    clusters, bounds = [group.group for group in groups], (min(given), max(given))
    return options(_named("selection_score", model), ranked, clusters, _named("selection_score", earlier), bounds)


def _named(family: str, values: dict[str, list[float]]) -> dict[str, list[float]]:
    return {f"{family}_{name}": items for name, items in values.items()}


def not_shown(name: str, value: float, baseline: str | None, gap: Mapping[str, Any]) -> str:
    """The sentence for a number that does not beat its strongest baseline.

    `gap`: the difference's value, low and high, the last two None where there is one group.
    """
    why = "no interval: all items belong to one group, or are equal"
    if gap["low"] is not None:
        why = f"difference {gap['value']:+.3f}, interval {gap['low']:+.3f} to {gap['high']:+.3f}"
    return f"{name} {value:.3f} is not shown to beat the baseline {baseline!r} ({why})."


def _check_groups(groups: Sequence[ResponseGroup], training: Sequence[ResponseGroup] | None, margin: float) -> None:
    if not groups:
        raise UserError("There is no group to evaluate, got 0. Choose another `evaluation.split` or data set.")
    if not margin > 0:
        raise UserError(f"`dataset.margin` must be > 0, got {margin}. 2.0 keeps pairs that people clearly tell apart.")
    shared = {group.group for group in groups} & {group.group for group in training or ()}
    if shared:
        raise UserError(
            f"{len(shared)} groups are both trained and tested on, the first is {min(shared)!r}. Split by group: the "
            "tutor prior must not read test labels."
        )


def _as_json(spread: Interval) -> dict[str, Any]:
    ends = {"low": spread.low, "high": spread.high}
    return {"value": spread.mean, **{name: None if math.isnan(end) else end for name, end in ends.items()}}
