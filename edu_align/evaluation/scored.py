"""What a model said about response groups, and the per-item values that metrics are means of."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edu_align.data.records import ResponseGroup, pairs_of
from edu_align.errors import UserError

Scores = tuple[float, ...]  # one number for every response of a group, higher is better


@dataclass(frozen=True)
class ScoredGroup:
    """A group and the log-probability of each of its replies.

    `logp`: sum over the reply's tokens, in nats; `tokens`: how many tokens that are; `reference_logp`: the same sum
    under the frozen model that training started from, where there is one; `base_logp`: under the base model, for a run
    that went on from another one's model. Each has one entry a response. Raises UserError for another length, a
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


def logp_scores(scored: ScoredGroup) -> Scores:
    """Summed log-probability, in nats: favours short replies."""
    return scored.logp


def mean_logp_scores(scored: ScoredGroup) -> Scores:
    """Mean log-probability per token, in nats per token."""
    return tuple(total / count for total, count in zip(scored.logp, scored.tokens, strict=True))


def implicit_scores(scored: ScoredGroup) -> Scores:
    """DPO's implicit reward over beta, log pi(y|x) - log pi_ref(y|x), in nats (Rafailov et al. 2023, equation 5).

    beta > 0 scales every reward alike, so it changes neither which reply wins a pair nor which is ranked first.
    """
    return _above(scored, "reference_logp")


def implicit_from_base_scores(scored: ScoredGroup) -> Scores:
    """log pi(y|x) - log pi_base(y|x), in nats: the implicit reward of all training since the base model.

    For a run that went on from another one's model, whose reference is that model: the sum over both runs of
    log pi(y|x) - log pi_start(y|x), so what the first one learned counts as well.
    """
    return _above(scored, "base_logp")


def _above(scored: ScoredGroup, name: str) -> Scores:
    other: tuple[float, ...] | None = getattr(scored, name)
    if other is None:
        raise UserError(
            f"Group {scored.group.id!r} has no `{name}`, which the implicit reward needs. Score the groups with that "
            "model too."
        )
    return tuple(own - beside for own, beside in zip(scored.logp, other, strict=True))


def scorers(scored: Sequence[ScoredGroup]) -> dict[str, Callable[[ScoredGroup], Scores]]:
    """Name to scorer: `logp`, `mean_logp`, and where every group has the other model's scores `implicit` (a reference)
    and `implicit_from_base` (the base model).

    Raises UserError where some groups have them and others have not: the metrics would be over different items.
    """
    result: dict[str, Callable[[ScoredGroup], Scores]] = {"logp": logp_scores, "mean_logp": mean_logp_scores}
    for name, beside, scorer in (
        ("implicit", "reference_logp", implicit_scores),
        ("implicit_from_base", "base_logp", implicit_from_base_scores),
    ):
        without = [item.group.id for item in scored if getattr(item, beside) is None]
        if without and len(without) < len(scored):
            raise UserError(
                f"{len(without)} of {len(scored)} groups have no `{beside}`, the first is {without[0]!r}. Score all "
                "groups with that model or none."
            )
        if not without:
            result[name] = scorer
    return result


def pair_values(groups: Sequence[ResponseGroup], scores: Sequence[Scores], margin: float) -> list[float]:
    """For every pair at `margin`, in order: 1 where the chosen reply has the higher score, 1/2 for a tie, else 0."""
    return [
        win(numbers[pair.chosen], numbers[pair.rejected])
        for group, numbers in zip(groups, scores, strict=True)
        for pair in pairs_of(group, margin)
    ]


def pair_clusters(groups: Sequence[ResponseGroup], margin: float) -> list[str]:
    """The split key of every pair, in the order of `pair_values`."""
    return [group.group for group in groups for _ in pairs_of(group, margin)]


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
