"""The dialogue as HTML. What a person or a model wrote is escaped here, and stands on the page as written."""

from collections.abc import Sequence

from edu_align.chatting.text import escaped, printable
from edu_align.data.records import Message

CSS = """
.talk {white-space: pre-wrap; overflow-wrap: anywhere}
.talk > div {padding: .6em .9em; margin: .4em 0; border-radius: .6em; border: 1px solid var(--border-color-primary)}
.talk > .user {margin-left: 15%; background: var(--background-fill-secondary)}
.talk > .note {border: none; opacity: .7; font-size: .9em}
"""


def bubble(kind: str, text: str) -> str:
    """One box; `kind` (user, assistant or note) is its CSS class."""
    return f'<div class="{kind}">{escaped(printable(text))}</div>'


def dialogue(turns: Sequence[Message], note: str = "") -> str:
    """The turns from old to new, and a note under them."""
    boxes = [bubble(turn.role, turn.content) for turn in turns] + ([bubble("note", note)] if note else [])
    return f'<div class="talk">{"".join(boxes)}</div>'


def answers(texts: Sequence[str]) -> list[str]:
    """A box for each answer; an empty one is being waited for."""
    return [f'<div class="talk">{bubble("assistant", text) if text else ""}</div>' for text in texts]
