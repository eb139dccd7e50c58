"""Loops in a reply, and text of a model on its way to a terminal or a page: nothing in it is a command there."""

import html
import unicodedata
from collections.abc import Sequence

LONGEST = 80  # tokens of the piece that is repeated
TIMES = 3  # how often it stands there, at least
LEAST = 60  # tokens of all of it: a line of dashes, or "no, no, no", is no loop


def loops(ids: Sequence[int]) -> bool:
    """Whether `ids` end with one piece over and over. A greedy model that has begun to does not stop by itself."""
    for size in range(1, LONGEST + 1):
        long = max(LEAST, TIMES * size)
        if len(ids) >= long and all(ids[-i] == ids[-i - size] for i in range(1, long - size + 1)):
            return True
    return False


def loop_note(label: str) -> str:
    """What to tell the person."""
    return (
        f"{label} began to repeat itself and was cut off; generation.repetition_penalty=1.1, or a "
        "generation.temperature above 0, keeps a model from that"
    )


# Characters that a page's template engine could read as its own.
_TEMPLATE = str.maketrans({character: f"&#{ord(character)};" for character in "{}$`\\"})

# Characters that turn the direction of a line around, so that it shows something else than it says.
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    """`text` without control characters but newlines and tabs, so that it cannot move a cursor or set colours."""
    return "".join(c for c in text if c in "\n\t" or (unicodedata.category(c) not in ("Cc", "Cs") and c not in _BIDI))


def escaped(text: str) -> str:
    """`text` as HTML that shows exactly it: tags, entities, Markdown and template marks stay characters."""
    return html.escape(text, quote=True).translate(_TEMPLATE)
