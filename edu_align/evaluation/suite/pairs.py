"""Pairs of replies as items: who beats whom, in which dialogue, and with what weight."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edu_align.data.records import Message, Pair, ResponseGroup, pairs_of
from edu_align.evaluation.scored import Scores, win
from edu_align.evaluation.suite.items import Series, Subject

AllScores = dict[str, list[Scores]]  # scorer or rule -> one tuple a group


@dataclass(frozen=True)
class Pairs:
    """`places`: index of the group, of the chosen and of the rejected reply; the lists have one entry a pair."""

    places: tuple[tuple[int, int, int], ...]
    items: tuple[str, ...]
    clusters: tuple[str, ...]
    weights: tuple[float, ...]

    def series(self, scores: Sequence[Scores]) -> Series:
        """For every pair 1 where the chosen reply has the higher score, 1/2 for a tie, else 0."""
        values = tuple(win(scores[group][chosen], scores[group][rejected]) for group, chosen, rejected in self.places)
        return Series(self.items, self.clusters, values, self.weights)

    def effect(self, scores: Sequence[Scores], without: Sequence[Scores]) -> Series:
        """For every pair what `scores` get minus what `without` gets: -1 to 1."""
        one, other = self.series(scores), self.series(without)
        values = tuple(a - b for a, b in zip(one.values, other.values, strict=True))
        return Series(self.items, self.clusters, values, self.weights)


def pairs_over(
    groups: Sequence[ResponseGroup],
    margin: float,
    keep: Callable[[Pair], bool] = lambda pair: True,
    balanced: bool = False,
) -> Pairs:
    """All pairs of the groups whose scores differ by at least `margin` and that `keep` keeps.

    Weights are 1, or with `balanced` w = min(n_ij, n_ji) / n_ij for a pair in which author i beats author j, where n_ij
    counts such pairs among those kept: each two authors then win equally much from each other, so that knowing who
    wrote a reply gives exactly 1/2. A pair of one author with itself has n_ij = n_ji, weight 1.
    """
    places, items, clusters, authors = [], [], [], []
    for place, group in enumerate(groups):
        for pair in pairs_of(group, margin):
            if keep(pair):
                places.append((place, pair.chosen, pair.rejected))
                items.append(f"{group.source}:{group.id}:{pair.chosen}>{pair.rejected}")
                clusters.append(group.group)
                authors.append((group.responses[pair.chosen].author, group.responses[pair.rejected].author))
    count = Counter(authors)
    weights = [min(count[i, j], count[j, i]) / count[i, j] if balanced else 1.0 for i, j in authors]
    return Pairs(tuple(places), tuple(items), tuple(clusters), tuple(weights))


def by_dimension(groups: Sequence[ResponseGroup], dimension: str) -> list[ResponseGroup]:
    """The groups with one dimension's labels as their scores. Raises KeyError for a reply without that label."""
    return [
        replace(group, responses=tuple(replace(r, score=r.scores[dimension]) for r in group.responses))
        for group in groups
    ]


def without_dialogue(prompt: Sequence[Message]) -> tuple[Message, ...]:
    """The prompt of a reply to nothing: system turns as they are, then one empty user turn.

    The chat template stays, so the model is asked for a reply in its usual form and told nothing about what to.
    """
    return (*(message for message in prompt if message.role == "system"), Message("user", ""))


def model_scores(subject: Subject, groups: Sequence[ResponseGroup], dialogue: bool = True) -> AllScores:
    """`mean_logp` (nats per token) and, with a reference model, `implicit` (nats) of every reply.

    `implicit` is DPO's implicit reward over beta, log pi(y|x) - log pi_ref(y|x) (Rafailov et al. 2023, equation 5).
    Where the reference is itself trained, `implicit_from_base` is the same against the base model: the reward of both
    trainings. Without the dialogue every model reads `without_dialogue`.
    """
    rows = [
        (group.prompt if dialogue else without_dialogue(group.prompt), [response.text for response in group.responses])
        for group in groups
    ]
    own = subject.score(rows)
    scores = {"mean_logp": [tuple(logp / count for logp, count in row) for row in own]}
    beside = {"implicit": subject.reference_score(rows), "implicit_from_base": subject.base_score(rows)}
    for name, others in beside.items():
        if others is not None:
            scores[name] = [
                tuple(logp - other for (logp, _), (other, _) in zip(row, under, strict=True))
                for row, under in zip(own, others, strict=True)
            ]
    return scores
