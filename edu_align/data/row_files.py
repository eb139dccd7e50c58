"""What a file of rows is: its content says how it is read, whatever it is called."""

import bz2
import gzip
import io
import itertools
import json
import lzma
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from edu_align.data.encodings import LOOKED_AT, Found, encoding_of
from edu_align.data.rows.words import COLUMNS, SAID, WHO, known, plain
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
from edu_align.utils.words import brief, in_shell, shorten

BROKEN = "broken JSON"
_ROW = {
    name
    for ours in ("messages", "prompt", "completion", "chosen", "rejected", "responses", "text")
    for name in COLUMNS[ours]
}
_SPACE = re.compile(r"[\s,]*")  # people also write commas between objects
# What is read of text: control characters in it are what they are.
_DECODER = json.JSONDecoder(strict=False)


def line_rows(lines: Iterable[str]) -> Iterator[Found]:
    """One value a line, with its number from 1; blank lines are passed over. A line that is no JSON is a fault."""
    for number, line in enumerate(lines, start=1):
        if line := line.strip("\ufeff \t\r\n"):
            try:
                yield Found(number, _row(_DECODER.decode(line)))
            except json.JSONDecodeError as error:
                yield Found(number, {}, BROKEN, f"{error.msg} at column {error.colno}{_near(line, error)}")
            except (RecursionError, ValueError) as error:  # brackets in brackets, a number of thousands of digits
                yield Found(number, {}, BROKEN, shorten(str(error), 120))


def is_object(line: str) -> bool:
    """Whether a line is a JSON object by itself."""
    return line.lstrip("\ufeff \t").startswith("{") and not next(line_rows([line])).fault


def _near(text: str, error: json.JSONDecodeError) -> str:
    return f", near {text[max(0, error.pos - 60) : error.pos + 60]!r}"


def rows_in(values: Sequence[Any], path: Path) -> tuple[list[Found], str]:
    """The rows of a file that holds these values one behind another, and a note of how they lie in it.

    Raises UserError for an object with several lists of rows.
    """
    if len(values) > 1:
        return _numbered(values), "JSON objects one behind another"
    (value,) = values
    if isinstance(value, list):
        return _numbered([value] if _is_turns(value) else value), ""
    rows, note = _inside(value, path)
    return _numbered(rows), note


def _numbered(values: Iterable[Any]) -> list[Found]:
    return [Found(number, _row(value)) for number, value in enumerate(values, start=1)]


def _row(value: Any) -> Any:
    """A list of turns as a row that holds it."""
    return {"messages": value} if _is_turns(value) else value


def json_values(text: str, path: Path) -> list[Any]:
    """The values of a text of JSON, which may stand one behind another. Raises UserError where it is broken."""
    text = text.lstrip("\ufeff")
    values, position = [], 0
    try:
        while (position := _SPACE.match(text, position).end()) < len(text):  # type: ignore[union-attr]
            value, position = _DECODER.raw_decode(text, position)
            values.append(value)
    except json.JSONDecodeError as error:
        if re.match(r"[\[\s]*\{\s*'", text):
            raise UserError(f"{path}: Python's repr of objects, which is no JSON. Write it with json.dumps.") from None
        place = f"line {error.lineno}, column {error.colno}"
        raise UserError(f"{path}: {BROKEN}, {error.msg} at {place}{_near(text, error)}. Mend it.") from None
    except (RecursionError, ValueError) as error:
        raise UserError(f"{path}: JSON that cannot be read ({shorten(str(error), 120)}). Mend it.") from None
    return values


def _inside(value: dict[str, Any], path: Path) -> tuple[list[Any], str]:
    """The rows in an object: itself, or those of its one list of rows, of its columns, or of its entries."""
    if any(
        _is_turns(cell) or _is_turns([cell]) or (isinstance(cell, str) and plain(key) in _ROW)
        for key, cell in value.items()
    ):
        return [value], ""
    lists = {key: inner for key, inner in value.items() if isinstance(inner, list) and _is_object(inner[:1])}
    if len(lists) == 1:
        ((key, rows),) = lists.items()
        others = [name for name in value if name != key]
        beside = f" (not read beside it: {shorten(', '.join(others), 80)})" if others else ""
        return rows, f"rows in `{shorten(key, 40)}`{beside}"
    if lists:
        raise UserError(f"{path}: several lists of rows: {_names(lists)}. {_take_one(path, next(iter(lists)))}")
    columns = list(value.values())
    if len(columns) > 1 and all(isinstance(column, list) for column in columns):
        if len({len(column) for column in columns}) == 1:
            return [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)], "a list a column"
    elif columns and all(isinstance(column, dict) for column in columns):
        indices = [list(column) for column in columns]
        if indices[0] and all(index == indices[0] for index in indices) and all(map(str.isdigit, indices[0])):
            return [{name: value[name][i] for name in value} for i in indices[0]], "an object a column"
        if len(columns) > 1:
            return columns, "an object of rows"
    return [value], ""


def _is_turns(value: Any) -> bool:
    """Whether a value is a list of objects, of which one of the first two has a speaker and what was said."""
    first = [item for item in value[:2] if isinstance(item, dict)] if isinstance(value, list) else []
    return any(None not in (known(item, WHO), known(item, SAID)) for item in first)


def _is_object(first: list[Any]) -> bool:
    return bool(first) and isinstance(first[0], dict)


def _names(lists: Iterable[str]) -> str:
    return shorten(", ".join(f"`{name}`" for name in lists), 200)


def _take_one(path: Path, key: str) -> str:
    target = path.with_name(f"{path.stem}.{key if key.isidentifier() else 'rows'}.json")
    code = "import json, sys; json.dump(json.load(open(sys.argv[1]))[sys.argv[2]], open(sys.argv[3], 'w'))"
    command = f'python -c "{code}" {in_shell(path)} {in_shell(key)} {in_shell(target)}'
    return f"Take one of them into a file of its own: {command}"


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
