"""Pieces of a report.md that nothing from outside can break."""

from collections.abc import Sequence

from edu_align.utils.tables import one_line


def bullets(lines: Sequence[str], none: str = "") -> list[str]:
    return [f"- {one_line(line)}" for line in lines] or ([none] if none else [])


def code_block(line: str) -> list[str]:
    return ["```", " ".join(line.split()), "```"]
