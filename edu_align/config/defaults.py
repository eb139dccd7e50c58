"""One file's defaults list, read line by line."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One line of a defaults list. `group` is None for `_self_` and for single configs, whose path is in `options`."""

    group: str | None
    options: list[str]
    override: bool = False
    optional: bool = False
    is_self: bool = False


def entries_of(defaults: Any, inside: str) -> list[Entry]:
    """The lines of a file's `defaults`, the file lying in the folder `inside`; what is left to Hydra is left out."""
    found = [_entry(raw, inside) for raw in defaults or []] if isinstance(defaults, list) else []
    return [entry for entry in found if entry is not None]


def _entry(raw: Any, inside: str) -> Entry | None:
    if isinstance(raw, str):
        if raw == "_self_":
            return Entry(None, [], is_self=True)
        words = raw.split()
        return None if "@" in raw else Entry(None, [_absolute(words[-1], inside)], optional="optional" in words[:-1])
    if not isinstance(raw, dict) or len(raw) != 1:
        return None
    ((key, value),) = raw.items()
    words = str(key).split()
    group = _absolute(words[-1], inside)
    options = [] if value is None else [str(option) for option in (value if isinstance(value, list) else [value])]
    if "@" in group or group.split("/")[0] == "hydra" or any("${" in option for option in options):
        return None
    return Entry(group, options, "override" in words[:-1], "optional" in words[:-1])


def _absolute(name: str, inside: str) -> str:
    if name.startswith("/"):
        return name[1:]
    return f"{inside}/{name}" if inside else name
