"""Training pairs that style cannot decide: authors balanced against each other, and replies that belong elsewhere.

On MRBench, who wrote a reply predicts people's choice on 3 of 4 pairs, so plain pairs teach whose style is liked. Here
no author wins more often than it loses, and a reply is rejected that only the dialogue tells to be wrong: one that is
good elsewhere, or was good earlier, or names other numbers (`data/negatives.py`). It was constructed, and its author
says so.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from random import Random

from edu_align.config.schema import DatasetConfig
from edu_align.data.negatives import KINDS, MARKS, Place, Pool, draw, kind_of
from edu_align.records import Conversation, Pair, Record, Response, ResponseGroup, unfit_authors


def beyond_style(pairs: list[Pair], records: Sequence[Record], dataset: DatasetConfig, seed: int) -> list[Pair]:
    """The pairs with authors balanced and constructed ones added, prompt by prompt."""
    pairs = balanced(pairs, seed) if dataset.balance_authors else pairs
    count = dataset.contrast_per_prompt
    if not count:
        return pairs
    groups = [record for record in records if isinstance(record, ResponseGroup)]
    turns = turns_as_groups(record for record in records if isinstance(record, Conversation))
    drawn = drawn_turns(turns, dataset.contrast_turns, seed)
    kinds = dataset.contrast_kinds
    added = contrasted(groups, count, seed, kinds=kinds) | contrasted(drawn, count, seed, turns, kinds)
    by_prompt: dict[str, list[Pair]] = {name: [] for name in (*(group.id for group in groups), *added)}
    for pair in pairs:
        extra = added.get(pair.group.id)
        by_prompt[pair.group.id].append(replace(pair, group=extra[0].group) if extra else pair)
    prompts = list(by_prompt)
    Random(seed).shuffle(prompts)
    return [pair for name in prompts for pair in (*by_prompt[name], *added.get(name, ()))]


def balanced(pairs: Sequence[Pair], seed: int) -> list[Pair]:
    """As many pairs in which one author beats another as the other way round, drawn by `seed`, in their order.

    The others are left out: for authors i and j with n_ij pairs won by i, min(n_ij, n_ji) stay on each side (the
    weights of identity-balanced accuracy as a draw). Sources of two authors, where one always wins, stay as they are.
    """
    authors: dict[str, set[str]] = defaultdict(set)
    won: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for index, pair in enumerate(pairs):
        winner, loser = (pair.group.responses[i].author for i in (pair.chosen, pair.rejected))
        authors[pair.group.source] |= {winner, loser}
        won[pair.group.source, winner, loser].append(index)
    kept: list[int] = []
    for (source, winner, loser), indices in won.items():
        if len(authors[source]) > 2 and winner != loser:
            most = min(len(indices), len(won.get((source, loser, winner), ())))
            drawn = sorted(indices, key=lambda i: draw(seed, pairs[i].group.id, pairs[i].chosen, pairs[i].rejected))
            indices = drawn[:most]
        kept += indices
    return [pairs[index] for index in sorted(kept)]


def contrasted(
    groups: Sequence[ResponseGroup],
    count: int,
    seed: int,
    pool: Sequence[ResponseGroup] | None = None,
    kinds: Sequence[str] = ("elsewhere",),
) -> dict[str, list[Pair]]:
    """For every group's id, at most `count` pairs of a good reply and one that is wrong here, of the `kinds` in turn.

        "Is 3 + 4 the number of nuts or of bags?" (here)  >  "What is 20 % of 50?" (same author, from elsewhere)

    Good is within one point of the group's best score and not in `meta["unfit_to_learn"]`. Where a kind has none, the
    next one is taken. Replies from other dialogues are those of `pool` (None: `groups`), by the same author and about
    as long, drawn by `seed`. The pair's group holds the constructed replies after its own.
    """
    there = Pool()
    for group in pool or groups:
        there.add(group, _good_indices(group))
    result = {}
    for group in groups:
        chosen = _good_indices(group)
        extra: list[Response] = []
        drawn: list[tuple[int, int]] = []
        for k in range(count if chosen else 0):
            index = chosen[k % len(chosen)]
            place = Place(group, group.responses[index], frozenset(reply.text for reply in extra), (seed, k))
            made = _first(place, there, [kinds[(k + i) % len(kinds)] for i in range(len(kinds))])
            if made is not None:
                drawn.append((index, len(group.responses) + len(extra)))
                extra.append(made)
        whole = replace(group, responses=(*group.responses, *extra))
        result[group.id] = [Pair(whole, index, rejected) for index, rejected in drawn]
    return result


def _first(place: Place, pool: Pool, kinds: Iterable[str]) -> Response | None:
    """The reply of the first kind that has one, marked as such."""
    for kind in kinds:
        found = KINDS[kind](place, pool)
        if found is not None:
            return replace(found, author=found.author + MARKS[kind])
    return None


def constructed_note(pairs: Iterable[Pair]) -> str:
    """How many pairs are constructed, by kind, for people; "" where none is."""
    many = Counter(kind_of(pair.group.responses[pair.rejected].author) for pair in pairs)
    made = [f"{many[kind]}{mark}" for kind, mark in MARKS.items() if many[kind]]
    return f"constructed pairs: the rejected reply of {', of '.join(made)}" if made else ""


def turns_as_groups(conversations: Iterable[Conversation]) -> list[ResponseGroup]:
    """Every trained turn that answers a user's, as a group of one reply with the turns before as its prompt."""
    return [
        ResponseGroup(
            talk.messages[:i],
            (Response(message.content, 1.0, author=talk.source),),
            f"{talk.id}:{i}",
            talk.source,
            talk.group,
            dict(talk.meta),
        )
        for talk in conversations
        for i, message in enumerate(talk.messages)
        if message.train and i and talk.messages[i - 1].role == "user"
    ]


def drawn_turns(turns: Sequence[ResponseGroup], count: int, seed: int) -> list[ResponseGroup]:
    """`count` of each conversation's turns, drawn by `seed`, in their order."""
    by_talk: dict[str, list[ResponseGroup]] = defaultdict(list)
    for turn in turns:
        by_talk[turn.id.rpartition(":")[0]].append(turn)
    drawn = {
        turn.id
        for members in by_talk.values()
        for turn in sorted(members, key=lambda turn: draw(seed, turn.id))[:count]
    }
    return [turn for turn in turns if turn.id in drawn]


def _good_indices(group: ResponseGroup) -> list[int]:
    unfit = unfit_authors(group.meta)
    fit = [i for i, reply in enumerate(group.responses) if reply.author not in unfit]
    best = max((group.responses[i].score for i in fit), default=0.0)
    return sorted((i for i in fit if group.responses[i].score >= best - 1), key=lambda i: -group.responses[i].score)
