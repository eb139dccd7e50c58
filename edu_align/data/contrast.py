"""Training pairs that style cannot decide: authors balanced against each other, and replies that belong elsewhere.

On MRBench, who wrote a reply predicts people's choice on 3 of 4 pairs, so plain pairs teach whose style is liked. Here
no author wins more often than it loses, and a reply that is good for one dialogue is rejected in another, where only
the dialogue tells which is right. Such a rejected reply was constructed, and its author says so.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random

from edu_align.config.schema import DatasetConfig
from edu_align.records import Conversation, Pair, Record, Response, ResponseGroup, unfit_authors
from edu_align.utils.hashing import sha256

CONSTRUCTED = " (from another dialogue)"  # ends the author of a reply that was constructed
NEAREST = 12  # replies nearest in length, one of which is drawn


def beyond_style(pairs: list[Pair], records: Sequence[Record], dataset: DatasetConfig, seed: int) -> list[Pair]:
    """The pairs with authors balanced and replies from other dialogues added, prompt by prompt."""
    pairs = balanced(pairs, seed) if dataset.balance_authors else pairs
    count = dataset.contrast_per_prompt
    if not count:
        return pairs
    groups = [record for record in records if isinstance(record, ResponseGroup)]
    turns = turns_as_groups(record for record in records if isinstance(record, Conversation))
    drawn = drawn_turns(turns, dataset.contrast_turns, seed)
    added = contrasted(groups, count, seed) | contrasted(drawn, count, seed, turns)
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
            drawn = sorted(indices, key=lambda i: _draw(seed, pairs[i].group.id, pairs[i].chosen, pairs[i].rejected))
            indices = drawn[:most]
        kept += indices
    return [pairs[index] for index in sorted(kept)]


@dataclass(frozen=True)
class _Reply:
    text: str
    author: str
    words: int
    group: str


def contrasted(
    groups: Sequence[ResponseGroup], count: int, seed: int, pool: Sequence[ResponseGroup] | None = None
) -> dict[str, list[Pair]]:
    """For every group's id, `count` pairs of a good reply and one that is good in another dialogue.

        "Is 3 + 4 the number of nuts or of bags?" (here)  >  "What is 20 % of 50?" (same author, from elsewhere)

    Good is within one point of the group's best score and not in `meta["unfit_to_learn"]`. The other reply, of `pool`
    (None: `groups`), is by the same author, one of the NEAREST in words, drawn by `seed`; it comes from another
    question or session, or, where a group is one turn of a conversation, from another turn of it. The pair's group
    holds the constructed replies after its own.
    """
    by_author: dict[tuple[str, str], list[_Reply]] = defaultdict(list)
    for group in pool or groups:
        for reply in (group.responses[i] for i in _good_indices(group)):
            words = len(reply.text.split())
            by_author[group.source, reply.author].append(_Reply(reply.text, reply.author, words, group.group))
    result = {}
    for group in groups:
        chosen = _good_indices(group)
        extra: list[Response] = []
        drawn: list[tuple[int, int]] = []
        for k in range(count if chosen else 0):
            index = chosen[k % len(chosen)]
            own = group.responses[index]
            other = _other(group, own, by_author, {r.text for r in extra}, (seed, k))
            if other is not None:
                drawn.append((index, len(group.responses) + len(extra)))
                extra.append(Response(other.text, 0.0, author=other.author + CONSTRUCTED))
        whole = replace(group, responses=(*group.responses, *extra))
        result[group.id] = [Pair(whole, index, rejected) for index, rejected in drawn]
    return result


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
        for turn in sorted(members, key=lambda turn: _draw(seed, turn.id))[:count]
    }
    return [turn for turn in turns if turn.id in drawn]


def _good_indices(group: ResponseGroup) -> list[int]:
    unfit = unfit_authors(group.meta)
    fit = [i for i, reply in enumerate(group.responses) if reply.author not in unfit]
    best = max((group.responses[i].score for i in fit), default=0.0)
    return sorted((i for i in fit if group.responses[i].score >= best - 1), key=lambda i: -group.responses[i].score)


def _other(
    group: ResponseGroup,
    own: Response,
    by_author: dict[tuple[str, str], list[_Reply]],
    used: set[str],
    salt: tuple[int, int],
) -> _Reply | None:
    here = {message.content for message in group.prompt} | {reply.text for reply in group.responses} | used
    one_turn = len(group.responses) == 1
    fits = [
        reply
        for reply in by_author[group.source, own.author]
        if reply.text not in here and (one_turn or reply.group != group.group)
    ]
    words = len(own.text.split())
    near = sorted(fits, key=lambda reply: (abs(reply.words - words), _draw(salt[0], group.id, reply.text)))[:NEAREST]
    return min(near, key=lambda reply: _draw(*salt, group.id, reply.text), default=None)


def _draw(*parts: object) -> str:
    return sha256("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass"))
