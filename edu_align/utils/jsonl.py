"""Files of rows (.jsonl): one JSON object a line. Only a newline ends a line: a text may hold U+2028."""

import errno
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def numbered_lines(file: Path) -> list[tuple[int, str]]:
    """The lines that are not blank, each with its number from 1; none where there is no file.

    Bytes that are no UTF-8, as where a line breaks off within a letter, become replacement characters.
    """
    if not file.is_file():
        return []
    lines = file.read_bytes().split(b"\n")
    return [(number, line.decode("utf-8", "replace")) for number, line in enumerate(lines, start=1) if line.strip()]


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


def as_lines(rows: Iterable[Any]) -> str:
    """The rows as text, each with its newline."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def append_row(file: Path, row: Row) -> None:
    """Add one line at the end; the file is made where there is none. A line that was left without its end is closed."""
    with file.open("ab+") as lines:
        lines.write(_closing(lines.fileno()) + as_lines([row]).encode())


def append_synced(file: int, rows: Iterable[Row]) -> None:
    """Add lines at the end of the open file `file` (a descriptor) in one write, and wait until the disk has them.

    A line that a crash left without its end is closed first, so that it spoils no other. Errors: OSError where the disk
    takes only a part, which is taken back.
    """
    size = os.fstat(file).st_size
    content = _closing(file) + as_lines(rows).encode()
    if os.write(file, content) != len(content):
        os.ftruncate(file, size)
        raise OSError(errno.ENOSPC, "the disk took only a part of a row; it was taken back")
    os.fsync(file)


def _closing(file: int) -> bytes:
    """What ends the last line of an open file: nothing where it is whole."""
    size = os.fstat(file).st_size
    return b"\n" if size and os.pread(file, 1, size - 1) != b"\n" else b""


def cut_torn_line(file: Path) -> bool:
    """Cut off a last line that a killed process left without its end; whether there was one."""
    content = file.read_bytes() if file.is_file() else b""
    whole = content.rfind(b"\n") + 1
    cut_back(file, whole)
    return whole < len(content)


def cut_back(file: Path, size: int) -> None:
    """Cut a file that is longer than `size` bytes to that length."""
    if file.is_file() and file.stat().st_size > size:
        os.truncate(file, size)
