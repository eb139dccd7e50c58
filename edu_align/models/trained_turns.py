"""Rows of a dialogue: each trained turn on the rendering in which it is last, as the model sees it when it answers.

Turns whose renderings begin alike are one row. A template that rewrites what was said (drops its thoughts, or ends the
last reply with another token) gives the others a row each:

    u0 a0 u1 a1   ->   u0 [a0] u1 [a1]                  ChatML
                  ->   u0 [a0]    and    u0 a0' u1 [a1]   the template writes a0 differently once u1 follows

A trained turn is what stands between the header that generation begins from and the end of the rendering. It is checked
to hold the reply's text and something after it that ends the reply.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edu_align.models.apply_template import TemplateError
from edu_align.models.chat_template import IGNORED, reader
from edu_align.records import Message

MARK = "\U000f0000reply\U000f0001"  # stands in for a reply, to see what a template writes around one
Write = Callable[[Sequence[Message], bool], str]


@dataclass(frozen=True)
class Row:
    """`turns`: the dialogue up to the last turn that this row trains, marked `train` where the row trains it.

    Ids and labels have the same length; labels are `IGNORED` off the trained turns.
    """

    turns: tuple[Message, ...]
    ids: list[int]
    labels: list[int]


@dataclass
class Encoded:
    """The rows of a dialogue, and whose turns (roles) have text that the template leaves out or rewrites."""

    rows: list[Row] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


@dataclass
class _Draft:
    """A rendering, the turns trained on it, and where each stands in it, in characters."""

    text: str
    turns: list[int]
    spans: list[tuple[int, int]]


def encode_dialogue(tokenizer: Any, messages: Sequence[Message]) -> Encoded:
    """The rows of a dialogue's trained turns; none where no turn is trained.

    Errors: TemplateError, where the template refuses the dialogue or a trained turn would not hold its reply and an
    end. Control tokens in turns are text.
    """
    write, read = reader(tokenizer, messages)
    drafts, changed = _drafts(write, messages)
    rows = []
    for draft in drafts:
        ids, offsets = read(draft.text)
        trained = [any(start <= a and b <= stop and a < b for start, stop in draft.spans) for a, b in offsets]
        labels = [token if keep else IGNORED for token, keep in zip(ids, trained, strict=True)]
        turns = tuple(replace(m, train=i in draft.turns) for i, m in enumerate(messages[: draft.turns[-1] + 1]))
        rows.append(Row(turns, ids, labels))
    return Encoded(rows, changed)


def encode(tokenizer: Any, messages: Sequence[Message], max_length: int | None = None) -> tuple[list[int], list[int]]:
    """Ids and labels, both of length T <= max_length, of a dialogue that is one row, as one with one trained turn is.

    Errors: those of `encode_dialogue`; ValueError for a dialogue that is none or several.
    """
    (row,) = encode_dialogue(tokenizer, messages).rows
    return row.ids[:max_length], row.labels[:max_length]


def check_dialogue(tokenizer: Any, messages: Sequence[Message]) -> None:
    """Raise the TemplateError that `encode_dialogue` would, without reading tokens."""
    _drafts(reader(tokenizer, messages)[0], messages)


def _drafts(write: Write, messages: Sequence[Message]) -> tuple[list[_Draft], list[str]]:
    drafts: list[_Draft] = []
    changed: list[str] = []
    for i in (i for i, message in enumerate(messages) if message.train):
        whole = write(messages[: i + 1], False)
        span, kept = _span(write, messages[: i + 1], whole)
        changed += [] if kept else ["assistant"]
        if drafts and whole.startswith(drafts[-1].text[: drafts[-1].spans[-1][1]]):
            drafts[-1] = _Draft(whole, [*drafts[-1].turns, i], [*drafts[-1].spans, span])
        else:
            drafts.append(_Draft(whole, [i], [span]))
    if drafts:
        shown = _squeezed(drafts[-1].text)
        others = (turn for turn in messages[: drafts[-1].turns[-1]] if turn.role != "assistant")
        changed += [turn.role for turn in others if _squeezed(turn.content) not in shown]
    return drafts, changed


def _span(write: Write, turns: Sequence[Message], whole: str) -> tuple[tuple[int, int], bool]:
    """Where the last turn's trained text stands in `whole`, and whether all of the reply does."""
    reply, stop = turns[-1].content.strip(), len(whole.rstrip())
    start = _opened(write, turns[:-1], whole)
    if start is not None and reply and reply in whole[start:stop]:
        if whole[start:stop].endswith(reply) and whole[start:stop].count(reply) == 1:
            raise _endless()
        return (start, stop), True
    marked = write((*turns[:-1], replace(turns[-1], content=MARK)), False)
    before, found, after = marked.rpartition(MARK)
    if not found:
        raise TemplateError("the chat template writes nothing of a reply's text")
    if not after.strip():
        raise _endless()
    if start is None:
        start = len(before) if whole.startswith(before) else whole.rfind(reply)
    if start < 0:
        raise TemplateError("the chat template rewrites a reply and what stands before it: it cannot be located")
    return (start, stop), _squeezed(reply) in _squeezed(whole[start:stop])


def _opened(write: Write, before: Sequence[Message], whole: str) -> int | None:
    """Length of the header that generation begins from; None where `whole` does not begin with it."""
    try:
        head = write(before, True)
    except TemplateError:  # nothing stands before the reply, or nothing that the template can open a turn after
        return None
    return len(head) if whole.startswith(head) else None


def _endless() -> TemplateError:
    return TemplateError("the chat template writes nothing after a reply, so a model would never learn to end one")


def _squeezed(text: str) -> str:
    return "".join(text.split())
