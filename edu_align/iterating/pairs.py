"""From scored replies to rows of `dataset=local`: which are better and which worse, for DPO or for KTO.

A row names its dialogue's group and stands on the training side, so that a round's run splits nothing of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edu_align.iterating.dialogues import Dialogue
from edu_align.models.chat_template import as_chat

Row = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """A reply and its score."""

    text: str
    score: float


def learnable(replies: Sequence[Reply]) -> list[Reply]:
    """Each distinct text once, without empty ones, which no row can hold."""
    found: dict[str, Reply] = {}
    for reply in replies:
        if reply.text:
            found.setdefault(reply.text, reply)
    return list(found.values())


def ordered(replies: Sequence[Reply], which: str, margin: float) -> list[tuple[int, int]]:
    """(better, worse) places of replies that are at least `margin` apart: `all`, or only the best and the worst."""
    places = range(len(replies))
    if which == "best_worst" and replies:
        best, worst = max(places, key=lambda i: replies[i].score), min(places, key=lambda i: replies[i].score)
        places_of = [(best, worst)]
    else:
        places_of = [(i, j) for i in places for j in places]
    return [(i, j) for i, j in places_of if replies[i].score - replies[j].score >= margin]


def pair_rows(dialogue: Dialogue, replies: Sequence[Reply], which: str, margin: float) -> Iterator[Row]:
    """A row for DPO, of the replies that are in a pair with their scores; none where no two are apart enough."""
    kept = learnable(replies)
    pairs = ordered(kept, which, margin)
    if pairs:
        responses = [_said(kept[place].text, score=kept[place].score) for place in sorted({*sum(pairs, ())})]
        yield {**_of(dialogue), "responses": responses}


def label_rows(dialogue: Dialogue, replies: Sequence[Reply], which: str, margin: float) -> Iterator[Row]:
    """Rows for KTO: a reply is good where it is the better one of more pairs than it is the worse one of."""
    kept = learnable(replies)
    balance = [0] * len(kept)
    for better, worse in ordered(kept, which, margin):
        balance[better] += 1
        balance[worse] -= 1
    for place, (reply, wins) in enumerate(zip(kept, balance, strict=True)):
        if wins:
            row = _of(dialogue) | {"id": f"{dialogue.id} {place}"}
            yield {**row, "reply": _said(reply.text)["text"], "label": wins > 0}


def _of(dialogue: Dialogue) -> Row:
    turns = as_chat(dialogue.asked.turns)
    return {"id": dialogue.id, "group": dialogue.group, "split": "train", "prompt": turns}


def _said(text: str, **more: Any) -> Row:
    """A reply as a turn: as bare text one that names speakers would be read as a dialogue."""
    return {"text": {"role": "assistant", "content": text}, **more}
