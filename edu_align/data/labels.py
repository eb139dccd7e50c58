"""Single replies that are labelled good or bad, made of response groups by a threshold on their scores.

MRBench, dataset.threshold=null (7)     scores 8 and 7: good; 0 to 6: bad
dataset.dimension=mistake_location      its own score, 2 (Yes): good; 1 and 0: bad
a thumb, a vote, chosen and rejected    what they say, whatever the threshold
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from random import Random

from edu_align.config.schema import DatasetConfig
from edu_align.data.rows.labels import LABEL
from edu_align.data.sources.load import SOURCES
from edu_align.records import Conversation, LabelledReply, Message, ResponseGroup, is_order, pairs_of, unfit_authors
from edu_align.utils.errors import UserError
from edu_align.utils.words import listed


@dataclass
class Labels:
    """`replies`: those with a label, in the order of their groups. `left_out`: others, by reason."""

    replies: list[LabelledReply] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def good(self) -> int:
        return sum(reply.good for reply in self.replies)


def joined(groups: Iterable[ResponseGroup]) -> list[ResponseGroup]:
    """Groups of one source with the same prompt as one, where the first of them stands: its replies in their order."""
    every: dict[object, list[ResponseGroup]] = {}
    for group in groups:
        key = (group.source, group.prompt, unfit_authors(group.meta))
        every.setdefault(key, []).append(_with_labels(group) if is_order(group) else group)
    return [
        replace(first, responses=tuple(response for group in (first, *rest) for response in group.responses))
        for first, *rest in every.values()
    ]


def _with_labels(group: ResponseGroup) -> ResponseGroup:
    """A chosen and a rejected reply with labels of their own, which they keep among others."""
    replies = (replace(reply, scores={**reply.scores, LABEL: reply.score}) for reply in group.responses)
    return replace(group, responses=tuple(replies))


def labelled(groups: Sequence[ResponseGroup], dataset: DatasetConfig) -> Labels:
    """The replies of the groups with their labels.

    A good reply that nobody should be taught to give (`unfit_to_learn`) is left out where `dataset.drop_unfit_chosen`
    says so. Raises UserError where scores need a threshold, and for a dimension that no reply has.
    """
    found = Labels()
    thresholds = {source: _threshold(source, groups, dataset) for source in {group.source for group in groups}}
    for group in groups:
        unfit = unfit_authors(group.meta) if dataset.drop_unfit_chosen else ()
        for index, response in enumerate(group.responses):
            good = _is_good(group, index, dataset.dimension, thresholds[group.source])
            if good is None:
                found.left_out[f"have no score of {dataset.dimension}"] += 1
            elif good and response.author in unfit:
                found.left_out["are good and give the answer away, or scold (dataset.drop_unfit_chosen)"] += 1
            else:
                found.replies.append(LabelledReply(group, index, good))
    if groups and dataset.dimension and not found.replies:
        known = sorted({name for group in groups for response in group.responses for name in response.scores} - {LABEL})
        there = f"Those that are there: {listed(known)}." if known else "It has none: drop dataset.dimension."
        raise UserError(f"`dataset.dimension={dataset.dimension}` is a score of no reply here. {there}")
    return found


def _is_good(group: ResponseGroup, index: int, dimension: str | None, threshold: float | None) -> bool | None:
    response = group.responses[index]
    if dimension is not None:
        score = response.scores.get(dimension)
        return None if score is None else score >= (threshold or 0.0)
    if LABEL in response.scores:
        return response.scores[LABEL] > 0
    return response.score > 0 if is_order(group) else response.score >= (threshold or 0.0)


def _threshold(source: str, groups: Sequence[ResponseGroup], dataset: DatasetConfig) -> float | None:
    """The threshold of a source's scores; None where it has labels only. Errors: scores without a threshold."""
    if dataset.threshold is not None:
        return dataset.threshold
    usual = SOURCES[source].dimension_threshold if dataset.dimension else SOURCES[source].threshold
    if usual is not None:
        return usual
    mine = [group for group in groups if group.source == source and not is_order(group)]
    scores = sorted(each.score for group in mine for each in group.responses if LABEL not in each.scores)
    if dataset.dimension or not scores:
        return None
    raise UserError(
        f"`dataset.threshold` must say from which score on a reply of {source} is good: {len(scores)} of its replies "
        f"have scores from {scores[0]:g} to {scores[-1]:g} and no label. Set dataset.threshold={_halving(scores):g}, "
        "which labels about half of them good, or another score."
    )


def _halving(scores: Sequence[float]) -> float:
    """The score from which on nearest to half of the sorted scores lie."""
    return min(set(scores), key=lambda least: (abs(2 * sum(score >= least for score in scores) - len(scores)), least))


def as_steps(replies: Sequence[LabelledReply], batching: str, seed: int) -> list[LabelledReply]:
    """The replies in an order in which good and bad ones are spread evenly: those of one prompt side by side
    (`batching` prompts), or every reply by itself in an order drawn with `seed` (replies).
    """
    if batching == "replies":
        units = [[reply] for reply in replies]
        Random(seed).shuffle(units)
    else:
        units = [list(members) for _, members in groupby(replies, key=lambda reply: reply.group.id)]
    return [reply for unit in spread(units) for reply in unit]


def spread(units: Sequence[Sequence[LabelledReply]]) -> list[Sequence[LabelledReply]]:
    """The units in an order in which the share of good replies stays close to that of all of them.

    Of the units that bring the share back, the first one is always next, so that their own order is kept.
    """
    every = [reply for unit in units for reply in unit]
    share = sum(reply.good for reply in every) / max(len(every), 1)
    excess = [sum(reply.good - share for reply in unit) for unit in units]  # good replies beyond the share
    queues = [[i for i, more in enumerate(excess) if (more > 0) is good][::-1] for good in (False, True)]
    order: list[int] = []
    now = 0.0
    while queues[0] or queues[1]:
        queue = queues[now <= 0] or queues[now > 0]
        order.append(queue.pop())
        now += excess[order[-1]]
    return [units[i] for i in order]


def weights_note(good: int, bad: int, desirable: float, undesirable: float) -> str:
    """What weighs good and bad replies as the paper asks, "" where they are.

    Equation 8 of arXiv:2402.01306: desirable * good / (undesirable * bad) lies in [1, 4/3].
    """
    ratio = desirable * good / (undesirable * bad)
    if 1 - 1e-9 <= ratio <= 4 / 3 + 1e-9:
        return ""
    key, value = ("undesirable", desirable * good / bad) if ratio > 1 else ("desirable", undesirable * bad / good)
    return (
        f"{good} good and {bad} bad replies: their weights make a ratio of {ratio:.2f}, and KTO's authors ask for 1 to "
        f"1.33. Set trainer.{key}_weight={value:.3g} for 1"
    )


def measurable(
    groups: Sequence[ResponseGroup], dataset: DatasetConfig
) -> tuple[list[ResponseGroup], list[Conversation]]:
    """What held-out labels can be measured on: groups in which two replies to one prompt differ; where there are none,
    the good replies as conversations.
    """
    several = [group for group in joined(groups) if len(group.responses) > 1]
    if any(True for group in several for _ in pairs_of(group, dataset.margin)):
        return several, []
    return [], [_taught(reply) for reply in labelled(groups, dataset).replies if reply.good]


def _taught(reply: LabelledReply) -> Conversation:
    group = reply.group
    messages = (*group.prompt, Message("assistant", reply.text, train=True))
    return Conversation(messages, group.id, group.source, group.group, group.meta)
