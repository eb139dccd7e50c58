"""Files of rows (.jsonl): one JSON object a line. Only a newline ends a line: a text may hold U+2028."""

import json
import os
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def numbered_lines(file: Path) -> list[tuple[int, str]]:
    """The lines that are not blank, each with its number from 1; none where there is no file."""
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8").split("\n")
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def read_rows(file: Path, skip_damaged: bool = False) -> list[Row]:
    """The rows of a file; none where there is no file.

    `skip_damaged` leaves out lines that hold no object, as the last one of a file that is being written. Errors:
    ValueError, where such a line is not left out.
    """
    rows: list[Row] = []
    for _, line in numbered_lines(file):
        try:
            row = json.loads(line)
        except ValueError:
            if not skip_damaged:
                raise
            continue
        if isinstance(row, dict) or not skip_damaged:
            rows.append(row)
    return rows


def append_row(file: Path, row: Row) -> None:
    """Add one line at the end; the file is made where there is none."""
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(row, ensure_ascii=False) + "\n")


def cut_back(file: Path, size: int) -> None:
    """Cut a file that is longer than `size` bytes to that length."""
    if file.is_file() and file.stat().st_size > size:
        os.truncate(file, size)
