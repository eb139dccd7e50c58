"""What a file of rows is: its content says how it is read, whatever it is called."""

import bz2
import gzip
import io
import itertools
import lzma
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from edu_align.data.encodings import LOOKED_AT, encoding_of
from edu_align.data.found import Found
from edu_align.data.json_rows import is_object, json_values, line_rows, rows_in
from edu_align.data.tables import (
    NAMES,
    ONE_COLUMN,
    SAMPLE,
    column_names,
    csv_rows,
    delimiter_of,
    parquet_rows,
    workbook_rows,
)
from edu_align.utils.errors import UserError
from edu_align.utils.words import brief, in_shell

FIRST_LINES = 20  # of which one has to be a JSON object where a file holds one a line
AGREE = 0.8  # share of rows with equally many cells from which a text is a table

_PACKED: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx, .ods; .xls
_OTHERS = {
    b"\x28\xb5\x2f\xfd": "packed with zstd. Unpack it: zstd -d {file}",
    b"version https://git-lfs": "only a pointer of Git LFS. Fetch what it points to: git lfs pull",
    b"%PDF": "a PDF. Export the rows as .jsonl or .csv.",
    b"SQLite format 3": "a database of SQLite. Export the rows as .csv.",
    b"ARROW1": "an Arrow file. Save it as Parquet: datasets' `to_parquet` does.",
    b"<!DOCTYPE": "a web page. Download the file itself.",
    b"<html": "a web page. Download the file itself.",
}


@dataclass(frozen=True)
class RowFile:
    """A file that was looked at. `note`: what was found that its name does not say, for people; "" for nothing.

    `read()` gives its rows from the first one.
    """

    path: Path
    read: Callable[[], Iterator[Found]]
    note: str = ""


def look_at(path: Path, columns: Sequence[str] = ()) -> RowFile:
    """Find out how a file is read. JSON that is not one object a line, and workbooks, are read whole for that.

    With `columns` a text that is neither JSON nor a table with one of these columns is read by lines, as the cells of
    the first of them. Raises UserError for a missing file, one that cannot be read, and what is no file of rows.
    """
    if not path.is_file():
        what = "it is a folder" if path.is_dir() else "there is no such file"
        raise UserError(f"{path}: {what} (the current folder is {Path.cwd()}). Check the path.")
    try:
        with path.open("rb") as file:
            start = file.read(512)
        opener = next((opener for magic, opener in _PACKED.items() if start.startswith(magic)), None)
        open_bytes = (lambda: opener(path)) if opener else (lambda: path.open("rb"))
        with open_bytes() as file:
            head = file.read(LOOKED_AT)
            file.seek(0)
            if head.startswith(b"PAR1"):
                return RowFile(path, lambda: _closing(open_bytes, lambda each: parquet_rows(each, path)))
            if head.startswith(_WORKBOOKS):
                rows, note = workbook_rows(file, path)
                return RowFile(path, lambda: iter(rows), note)
        return _text(path, open_bytes, head, columns)
    except (OSError, EOFError, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be read ({reason}). Check the file and its rights.") from None


def _closing(open_bytes: Callable[[], Any], read: Callable[[IO[bytes]], Iterator[Found]]) -> Iterator[Found]:
    with open_bytes() as file:
        yield from read(file)


def _text(path: Path, open_bytes: Callable[[], Any], head: bytes, columns: Sequence[str]) -> RowFile:
    for magic, what in _OTHERS.items():
        if head.lstrip()[: len(magic)].lower() == magic.lower():
            raise UserError(f"{path}: not a file of rows, but {what.format(file=in_shell(path))}")
    encoding = encoding_of(head, path)

    def lines(newline: str = "\n") -> Iterator[str]:
        with open_bytes() as raw, io.TextIOWrapper(raw, encoding.name, encoding.errors, newline) as text:
            yield from text

    begin = head[: 4 * SAMPLE].decode(encoding.name, "ignore").lstrip("\ufeff")[:SAMPLE]
    json = _json(path, lines, encoding.note) if begin.strip() else RowFile(path, lambda: iter(()))
    return json or _table(path, lines, begin, encoding.note, columns)


def _json(path: Path, lines: Callable[[], Iterator[str]], encoded: str) -> RowFile | None:
    """The file as JSON; None where it is none. Raises UserError for JSON that is broken as a whole."""
    suffix = path.suffix.lower()
    first = [line for line in itertools.islice(lines(), 4 * FIRST_LINES) if line.strip()][:FIRST_LINES]
    said = "" if suffix in (".jsonl", ".ndjson") else "one JSON object a line"
    one_a_line = RowFile(path, lambda: line_rows(lines()), _note(encoded, said))
    if len(first) > 1 and is_object(first[0]):
        return one_a_line
    mostly = len(first) > 1 and 2 * sum(map(is_object, first)) >= len(first)
    if not first[0].lstrip("\ufeff \t\r").startswith(("[", "{")):
        return one_a_line if mostly else None
    try:
        values = json_values("".join(lines()), path)
    except UserError:
        if mostly:
            return one_a_line
        raise
    rows, said = rows_in(values, path)
    said = "a JSON list" if not said and isinstance(values[0], list) and suffix != ".json" else said
    return RowFile(path, lambda: iter(rows), _note(encoded, said))


def _table(
    path: Path, lines: Callable[..., Iterator[str]], begin: str, encoded: str, columns: Sequence[str]
) -> RowFile:
    """The file as a table, or with `columns` as lines of text. Raises UserError where it is neither."""
    suffix = path.suffix.lower()
    delimiter, share = delimiter_of(begin)
    names = column_names(begin, delimiter)
    looks = share >= AGREE if not columns else bool(set(columns) & {name.casefold() for name in names})
    if suffix in (".csv", ".tsv") or looks:
        usual = delimiter in (ONE_COLUMN, "\t" if suffix == ".tsv" else ",")
        said = "" if usual else f"{NAMES.get(delimiter, repr(delimiter))} between cells"
        said = said if suffix in (".csv", ".tsv") else _note("a table", said)
        return RowFile(path, lambda: csv_rows(lines(""), path, delimiter), _note(encoded, said))
    if columns:
        return RowFile(path, lambda: _plain(lines(), columns[0]), encoded)
    raise UserError(
        f"{path}: neither JSON nor a table: it begins with {brief(begin.strip()[:60])}. Write one JSON object a line, "
        "or a table with a line of column names."
    )


def _plain(lines: Iterator[str], column: str) -> Iterator[Found]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield Found(number, {column: line.strip("\ufeff\r\n")})


def _note(*parts: str) -> str:
    return ", ".join(filter(None, parts))
