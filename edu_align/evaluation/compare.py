"""Paired differences between two models on the same groups: what a training stage changed."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from edu_align.errors import UserError
from edu_align.evaluation import preference as scored
from edu_align.evaluation.bootstrap import difference
from edu_align.evaluation.preference import Metric, ScoredGroup


def compare_models(
    after: Sequence[ScoredGroup],
    before: Sequence[ScoredGroup],
    margin: float,
    seed: int,
    samples: int = 2000,
    confidence: float = 0.95,
) -> dict[str, dict[str, Any]]:
    """`after` minus `before`, metric by metric, with intervals over resampled groups; ready for JSON.

    Both score the same groups in the same order. Metrics are those of `evaluate_preferences` whose scorer both models
    have; values are differences of shares for `pair_accuracy_*` and of human scores for `selection_score_*` (only
    where all groups are of one source). Raises UserError for other groups, no group or no pair at `margin`.
    """
    groups = [item.group for item in after]
    if groups != [item.group for item in before]:
        raise UserError(
            f"A paired difference needs the same groups in the same order, got {len(after)} and {len(before)} groups "
            "that are not. Score both models on one list of groups."
        )
    if not margin > 0:
        raise UserError(f"`dataset.margin` must be > 0, got {margin}. Use the margin of the evaluation.")
    spread = partial(difference, seed=seed, samples=samples, confidence=confidence)
    new, old = scored.scorers(after), scored.scorers(before)
    by_pair, by_group = scored.pair_clusters(groups, margin), [group.group for group in groups]
    one_source = len({group.source for group in groups}) == 1
    result = {}
    for name in (name for name in new if name in old):
        scores = [new[name](item) for item in after], [old[name](item) for item in before]
        pairs_new, pairs_old = (scored.pair_values(groups, each, margin) for each in scores)
        gap = spread(pairs_new, pairs_old, by_pair)
        result[f"pair_accuracy_{name}"] = Metric(f"pair_accuracy_{name}", gap).as_json()
        if one_source:
            first_new, first_old = (scored.selected_scores(groups, each) for each in scores)
            gap = spread(first_new, first_old, by_group)
            result[f"selection_score_{name}"] = Metric(f"selection_score_{name}", gap).as_json()
    return result
