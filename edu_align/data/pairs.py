"""Pairs and subsets drawn from records."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from random import Random
from typing import TypeVar

from edu_align.records import Conversation, Graded, LabelledReply, Message, Pair, ResponseGroup, pairs_of, unfit_authors
from edu_align.utils.errors import UserError

T = TypeVar("T")
Choice = TypeVar("Choice", Pair, LabelledReply, Graded)
LOOK_AHEAD = 64  # prompts, at least, among which those of a step are chosen


def training_pairs(
    groups: Iterable[ResponseGroup],
    margin: float,
    max_pairs_per_group: int | None,
    seed: int,
    drop_unfit_chosen: bool = True,
) -> list[Pair]:
    """Pairs to train on: score difference at least `margin`, at most `max_pairs_per_group` a group (None: all).

    With `drop_unfit_chosen` a reply of an author in `meta["unfit_to_learn"]` (comma-separated: it reveals the answer,
    or scolds) is never the chosen one, whatever its sum. Under a cap, each next pair is the one whose replies were used
    least, then the one with the largest margin; ties are drawn with `seed` and the group's id, so a group's pairs do
    not depend on the others. Raises UserError for a margin or a cap that is not positive.
    """
    if not margin > 0:
        raise UserError(f"`dataset.margin` must be > 0, got {margin}. Equal scores are no preference.")
    if max_pairs_per_group is not None and max_pairs_per_group < 1:
        raise UserError(f"`dataset.max_pairs_per_group` must be >= 1 or null, got {max_pairs_per_group}.")
    pairs: list[Pair] = []
    for group in groups:
        unfit = unfit_authors(group.meta) if drop_unfit_chosen else ()
        found = [pair for pair in pairs_of(group, margin) if group.responses[pair.chosen].author not in unfit]
        pairs += found if max_pairs_per_group is None else _spread(found, max_pairs_per_group, seed)
    return pairs


def _spread(pairs: list[Pair], limit: int, seed: int) -> list[Pair]:
    if len(pairs) <= limit:
        return pairs
    left = list(pairs)
    Random(f"{seed}:{pairs[0].group.id}").shuffle(left)
    used: Counter[int] = Counter()
    drawn: list[Pair] = []
    while len(drawn) < limit:
        pair = min(left, key=lambda p: (used[p.chosen] + used[p.rejected], -p.margin))
        left.remove(pair)
        drawn.append(pair)
        used.update((pair.chosen, pair.rejected))
    return drawn


def in_steps(pairs: Iterable[Choice], batch_size: int, seed: int) -> list[Choice]:
    """Pairs, or single replies, in an order in which every `batch_size` of them are whole prompts as far as possible.

        prompts of 3, 2, 9, 4 and 2 pairs, batch_size 4  ->  aaac cccc cccc | bbee | dddd

    Pairs of one prompt that are trained together share its computation, and a step then compares the replies to a few
    prompts completely, as in InstructGPT (Ouyang et al. 2022, section 3.5). A prompt is followed by the fewest of the
    next ones with which it makes whole steps, so that as few as possible stand in two; such choices come in an order
    drawn with `seed`, or prompts of many pairs would all come first. Prompts without one are last, as is a short step.
    """
    left = [list(members) for _, members in groupby(pairs, key=lambda pair: pair.group.id)]
    whole: list[list[Choice]] = []
    rest: list[Choice] = []
    while left:
        near = left[: max(LOOK_AHEAD, batch_size)]
        chosen = _closing([len(members) for members in near], batch_size)
        if chosen:
            whole.append([pair for index in chosen for pair in near[index]])
        else:
            rest += near[0]
            chosen = (0,)
        left = [members for index, members in enumerate(near) if index not in chosen] + left[len(near) :]
    Random(seed).shuffle(whole)
    return list(chain(*whole, rest))


def _closing(sizes: Sequence[int], step: int) -> tuple[int, ...]:
    """The fewest indices, the first one among them, whose sizes add up to whole steps; () where there are none."""
    fewest: dict[int, tuple[int, ...]] = {sizes[0] % step: (0,)}  # pairs beyond whole steps -> what brings them there
    for index, size in enumerate(sizes[1:], 1):
        for beyond, chosen in list(fewest.items()):
            more = (beyond + size) % step
            if more not in fewest or len(fewest[more]) > len(chosen) + 1:
                fewest[more] = (*chosen, index)
    return fewest.get(0, ())


def subsample(records: Sequence[T], n: int | None, seed: int) -> list[T]:
    """`n` of the records in their order, drawn with `seed`; all of them when `n` is None or not smaller.

    Raises UserError for n < 1.
    """
    if n is not None and n < 1:
        raise UserError(f"A number of records to keep must be >= 1 or null, got {n}.")
    if n is None or n >= len(records):
        return list(records)
    return [records[i] for i in sorted(Random(seed).sample(range(len(records)), n))]


def best_reply(group: ResponseGroup) -> Conversation:
    """The prompt and its best-scored reply as the only trained turn.

    Among equal scores a reply that does not reveal the answer comes first, then a human expert's, then file order.
    """
    unfit = unfit_authors(group.meta)
    best = max(group.responses, key=lambda r: (r.score, r.author not in unfit, r.author == "Expert"))
    messages = (*group.prompt, Message("assistant", best.text, train=True))
    meta = {key: value for key, value in group.meta.items() if key != "unfit_to_learn"}
    return Conversation(
        messages, group.id, group.source, group.group, meta | ({"author": best.author} if best.author else {})
    )
