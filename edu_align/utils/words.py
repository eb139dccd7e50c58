"""How a value is quoted in a message to people."""

import shlex
from pathlib import Path
from typing import Any

SHOWN = 300  # most characters of a row that an error prints
_KINDS = {
    str: "text", list: "a list", dict: "an object", int: "a number", float: "a number", bool: "true or false",
    type(None): "null",
}  # fmt: skip


def shorten(text: str, limit: int = SHOWN) -> str:
    """The text, or its first `limit` characters and how many there are."""
    return text if len(text) <= limit else text[:limit] + f"... ({len(text)} characters)"


def brief(value: Any) -> str:
    """A value as an error message quotes it."""
    return shorten(repr(value), 80)


def kind_name(kind: type) -> str:
    """What JSON calls values of a type."""
    return _KINDS.get(kind, kind.__name__)


def in_shell(word: Path | str) -> str:
    """A path or another word as it is typed in a command."""
    text = str(word)
    return f'"{text}"' if "'" in text and not set(text) & set('"$`\\!') else shlex.quote(text)
