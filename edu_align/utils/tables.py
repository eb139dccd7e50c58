"""Tables as rows of cells, and how they become Markdown or plain text; numbers with their intervals."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

Rows = list[list[str]]  # the first row is the head


def cell(entry: Mapping[str, Any] | None, sign: str = "") -> str:
    """`0.612 [0.580, 0.644]` of a dict with value, low and high; a dash for what was not measured."""
    if entry is None:
        return "-"
    if entry["low"] is None or entry["high"] is None:
        why = "all groups alike" if entry.get("clusters", entry.get("groups", 1)) > 1 else "1 group"
        return f"{entry['value']:{sign}.3f} [no interval: {why}]"
    return f"{entry['value']:{sign}.3f} [{entry['low']:{sign}.3f}, {entry['high']:{sign}.3f}]"


def one_line(text: str) -> str:
    """`text` for Markdown: in one line, with HTML's signs escaped."""
    return escape(" ".join(text.split()), quote=False)


def markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table. No cell can break it or become HTML."""
    lines = ["| " + " | ".join(one_line(entry).replace("|", "\\|") for entry in row) + " |" for row in rows]
    return [lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]]


def bullets(lines: Sequence[str], none: str = "") -> list[str]:
    """Lines of a Markdown list; `none` where there is no line."""
    return [f"- {one_line(line)}" for line in lines] or ([none] if none else [])


def code_block(line: str) -> list[str]:
    return ["```", " ".join(line.split()), "```"]


def text(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table in columns of equal width, for a terminal."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(entry.ljust(width) for entry, width in zip(row, widths, strict=True)).rstrip() for row in rows]
