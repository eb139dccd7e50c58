"""How a value is quoted in a message to people or typed in a command, and the nearest valid word to what was typed."""

import json
import shlex
from collections.abc import Iterable, Sequence
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


def nearest(word: str, options: Iterable[str]) -> str | None:
    """The option most like `word`, or None where none is alike.

    For dotted keys an option with the same last part wins over one that only looks alike (`beta` means `trainer.beta`),
    then those below the same parent (`trainer.bata`), then any.
    """
    from difflib import SequenceMatcher, get_close_matches

    every = list(options)
    parent, _, last = word.rpartition(".")
    same_last = [option for option in every if option.rpartition(".")[2] == last]
    if same_last:
        return max(same_last, key=lambda option: SequenceMatcher(None, word, option).ratio())
    siblings = [option for option in every if parent and option.rpartition(".")[0] == parent]
    if siblings:
        close = get_close_matches(last.lower(), [option.rpartition(".")[2] for option in siblings], n=1)
        return f"{parent}.{close[0]}" if close else None
    close = get_close_matches(word.lower(), every, n=1)
    if close:
        return close[0]
    by_last = {option.rpartition(".")[2]: option for option in every}
    close = get_close_matches(last.lower(), list(by_last), n=1)
    return by_last[close[0]] if close else None


def did_you_mean(word: str, options: Iterable[str], prefix: str = "") -> str:
    """`" Did you mean `x`?"`, or an empty text where nothing is alike. `prefix` is printed before the option."""
    if word in ("True", "False") and {"on", "off"} & set(options):
        return " YAML reads a bare on or off as true or false: put it in quotes."
    best = nearest(word, options)
    return f" Did you mean `{prefix}{best}`?" if best is not None and best != word else ""


def shorten_list(names: Sequence[str], most: int = 6) -> str:
    """The first names in one line, and how many more there are: `a, b and 3 more`."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def listed(options: Iterable[str]) -> str:
    """The options in one line: `a | b | c`."""
    return " | ".join(options)


def value_word(value: Any, mark: str = "", inside: str = '"') -> str:
    """A value as it is typed behind `key=`, and as YAML reads it: a text stands between `mark`s, one in a list or a
    mapping between `inside`.
    """
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{value_word(each, inside, inside)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return f"[{','.join(value_word(each, inside, inside) for each in value)}]"
    return f"{mark}{value}{mark}" if isinstance(value, str) else json.dumps(value)
