"""The suite's prompts, what people replied to them, and what a model replies: generated once for all metrics."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edu_align.data.questions import problem_key
from edu_align.evaluation.suite.results import Subject
from edu_align.models.chat_template import as_chat
from edu_align.records import Conversation, Message, Record, ResponseGroup
from edu_align.utils.hashing import sha256

EXPERT = "Expert"  # author of the human reply in MRBench and Bridge


@dataclass(frozen=True)
class Prompt:
    """A dialogue that ends with the student, in want of a reply.

    `item` names it in every model's result, `group` is the cluster that is resampled. `gold`: the final answer of its
    problem in digits, "" where it is not known. `human`: what the human tutor wrote at this point, "" for none;
    `others`: what further tutors wrote, by author.
    """

    item: str
    group: str
    source: str
    turns: tuple[Message, ...]
    gold: str = ""
    human: str = ""
    others: Mapping[str, str] = field(default_factory=dict)
    meta: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The whole dialogue, a turn a line."""
        return "\n".join(turn.content for turn in self.turns)


def digest(turns: Sequence[Message]) -> str:
    """sha256 of a dialogue's roles and texts: the same wherever the dialogue comes from."""
    return sha256(json.dumps([[turn.role, turn.content] for turn in turns]))


def chosen(prompts: Iterable[Prompt], limit: int | None) -> list[Prompt]:
    """At most `limit` of them, those of the smallest content hash: the same for every model, seed and order."""
    ordered = sorted(prompts, key=lambda one: (digest(one.turns), one.item))
    return ordered if limit is None else ordered[:limit]


def golds(records: Iterable[Record]) -> dict[str, str]:
    """Problem key -> final answer, from all records that know theirs."""
    known = {}
    for record in records:
        problem, gold = record.meta.get("problem"), record.meta.get("gold_answer")
        if problem and gold:
            known[problem_key(problem)] = gold
    return known


def of_groups(groups: Iterable[ResponseGroup], known: Mapping[str, str]) -> list[Prompt]:
    """One prompt a response group; `known` adds the answers of problems that other sources have solved."""
    result = []
    for group in groups:
        problem = group.meta.get("problem", "")
        gold = group.meta.get("gold_answer") or (known.get(problem_key(problem), "") if problem else "")
        by_author = {response.author: response.text for response in group.responses}
        human = by_author.pop(EXPERT, "")
        result.append(Prompt(group.id, group.group, group.source, group.prompt, gold, human, by_author, group.meta))
    return result


def of_dialogues(conversations: Iterable[Conversation]) -> list[Prompt]:
    """Every trained turn of the dialogues: what came before it is the prompt, the turn itself the human reply.

    Prompts carry no mark of training, so that a score is that of the reply alone.
    """
    return [
        Prompt(
            f"{dialogue.id}#{place}",
            dialogue.group,
            dialogue.source,
            tuple(Message(turn.role, turn.content) for turn in dialogue.messages[:place]),
            dialogue.meta.get("gold_answer", ""),
            message.content,
            meta=dialogue.meta,
        )
        for dialogue in conversations
        for place, message in enumerate(dialogue.messages)
        if message.train and place > 0
    ]


def one_a_dialogue(prompts: Iterable[Prompt]) -> list[Prompt]:
    """Of the turns of one dialogue (`of_dialogues`) the one of the smallest content hash."""
    first: dict[str, Prompt] = {}
    for one in chosen(prompts, None):
        first.setdefault(one.item.rpartition("#")[0], one)
    return list(first.values())


BATCH = 256  # prompts that are answered together, and kept together by an evaluation that is stopped


@dataclass(frozen=True)
class Generated:
    """Prompts, and the reply to each by its item."""

    prompts: tuple[Prompt, ...]
    replies: Mapping[str, str]

    def row(self, one: Prompt) -> dict[str, Any]:
        """Prompt and reply for people."""
        return {"item": one.item, "prompt": as_chat(one.turns), "reply": self.replies[one.item]}


def generate(subject: Subject, prompts: Iterable[Prompt], max_new_tokens: int, batch_size: int = BATCH) -> Generated:
    """Greedy replies of at most `max_new_tokens` tokens; equal dialogues are answered once.

    Batches hold prompts of like length and are the same at every start, and a subject caches its replies, so a
    stopped evaluation continues.
    """
    everything = tuple(prompts)
    distinct = {digest(one.turns): one for one in everything}
    ordered = sorted(distinct, key=lambda key: (sum(len(turn.content) for turn in distinct[key].turns), key))
    texts: dict[str, str] = {}
    for i in range(0, len(ordered), batch_size):
        batch = ordered[i : i + batch_size]
        replies = subject.replies([distinct[key].turns for key in batch], max_new_tokens)
        texts |= dict(zip(batch, replies, strict=True))
    return Generated(everything, {one.item: texts[digest(one.turns)] for one in everything})
