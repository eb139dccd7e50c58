"""Text of a model on its way to a terminal or a page: nothing in it is a command there."""

import html
import unicodedata

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
