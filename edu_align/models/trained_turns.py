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

from edu_align.models.chat_template import IGNORED, TemplateError, reader
from edu_align.records import Message

MARK = "\U000f0000\U000f0001"  # stands in for a reply, to see what is written around one; no template changes its case
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
    """The rows of a dialogue, and what the template does that a user should know.

    `changed`: roles of turns with text that it leaves out or rewrites. `unopened`: trained turns that do not begin as
    generation does.
    """

    rows: list[Row] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unopened: int = 0


@dataclass
class _Draft:
    """A rendering, the turns trained on it, and where each stands in it, in characters."""

    text: str
    turns: list[int]
    spans: list[tuple[int, int]]


@dataclass(frozen=True)
class _Span:
    """Where a trained turn stands. `whole`: all of the reply is in it; `opened`: it begins where generation does."""

    place: tuple[int, int]
    whole: bool
    opened: bool


def encode_dialogue(tokenizer: Any, messages: Sequence[Message]) -> Encoded:
    """The rows of a dialogue's trained turns; none where no turn is trained.

    Errors: TemplateError, where the template refuses the dialogue or a trained turn would not hold its reply and an
    end. Control tokens in turns are text.
    """
    write, read = reader(tokenizer, messages)
    drafts, found = _drafts(write, messages)
    for draft in drafts:
        ids, offsets = read(draft.text)
        labels = [IGNORED] * len(ids)
        for start, stop in draft.spans:
            for i, (begin, end) in enumerate(offsets):
                if start <= begin < end <= stop:
                    labels[i] = ids[i]
        turns = tuple(replace(m, train=i in draft.turns) for i, m in enumerate(messages[: draft.turns[-1] + 1]))
        found.rows.append(Row(turns, ids, labels))
    return found


def answered(prompt: Sequence[Message], reply: str) -> tuple[Message, ...]:
    """The prompt and a reply to it, which alone is trained."""
    return (*(replace(turn, train=False) for turn in prompt), Message("assistant", reply, train=True))


def encode(tokenizer: Any, messages: Sequence[Message], max_length: int | None = None) -> tuple[list[int], list[int]]:
    """Ids and labels, both of length T <= max_length, of a dialogue that is one row, as one with one trained turn is.

    Errors: those of `encode_dialogue`; ValueError for a dialogue that is none or several.
    """
    (row,) = encode_dialogue(tokenizer, messages).rows
    return row.ids[:max_length], row.labels[:max_length]


def check_dialogue(write: Write, messages: Sequence[Message]) -> None:
    """Raise the TemplateError that `encode_dialogue` would. `write` renders turns: `render` without its tokenizer."""
    _drafts(write, messages)


def _drafts(write: Write, messages: Sequence[Message]) -> tuple[list[_Draft], Encoded]:
    """The renderings to train on, and what is to be said of them; its rows are still to be made."""
    drafts: list[_Draft] = []
    notes = Encoded()
    for i in (i for i, message in enumerate(messages) if message.train):
        whole = write(messages[: i + 1], False)
        span = _span(write, messages[: i + 1], whole)
        notes.changed += [] if span.whole else ["assistant"]
        notes.unopened += not span.opened
        if drafts and whole.startswith(drafts[-1].text[: drafts[-1].spans[-1][1]]):
            drafts[-1] = _Draft(whole, [*drafts[-1].turns, i], [*drafts[-1].spans, span.place])
        else:
            drafts.append(_Draft(whole, [i], [span.place]))
    if drafts:
        shown = _squeezed(drafts[-1].text)
        others = (turn for turn in messages[: drafts[-1].turns[-1]] if turn.role != "assistant")
        notes.changed += [turn.role for turn in others if _squeezed(turn.content) not in shown]
    return drafts, notes


def _span(write: Write, turns: Sequence[Message], whole: str) -> _Span:
    """Where the last turn's trained text stands in `whole`."""
    reply, stop = turns[-1].content.strip(), len(whole.rstrip())
    head = _head(write, turns[:-1])
    start = len(head) if head is not None and whole.startswith(head) else None
    if start is not None and reply and reply in whole[start:stop]:
        if whole[start:stop].endswith(reply) and whole[start:stop].count(reply) == 1:
            raise _endless()
        return _Span((start, stop), True, True)
    marked = write((*turns[:-1], replace(turns[-1], content=MARK)), False)
    before, found, after = marked.rpartition(MARK)
    if not found:
        raise TemplateError("the chat template writes nothing of a reply's text")
    if not after.strip():
        raise _endless()
    opened = head is None or start is not None
    if start is None and whole.startswith(before):
        start, opened = _after_header(write, turns[:-1], head, before)
    elif start is None:
        start = whole.rfind(reply)
    if start < 0:
        raise TemplateError("the chat template rewrites a reply and what stands before it: it cannot be located")
    return _Span((start, stop), _squeezed(reply) in _squeezed(whole[start:stop]), opened)


def _after_header(write: Write, turns: Sequence[Message], head: str | None, before: str) -> tuple[int, bool]:
    """Where the header that generation begins from ends in `before`, the text before a reply's own; and whether it is
    there. Without it the trained text begins with the reply's own.
    """
    if head is None:
        return len(before), True
    said = write(turns, False)
    header = head[len(said) :] if head.startswith(said) else ""
    at = before.rfind(header)
    if not header or at < 0 or (turns[-1].content.strip() or header) in before[at + len(header) :]:
        return len(before), False
    return at + len(header), True


def _head(write: Write, before: Sequence[Message]) -> str | None:
    """What generation begins from; None where the template opens no reply after these turns, or there are none."""
    try:
        return write(before, True)
    except TemplateError:
        return None


def _endless() -> TemplateError:
    return TemplateError("the chat template writes nothing after a reply, so a model would never learn to end one")


def _squeezed(text: str) -> str:
    return "".join(text.split())
