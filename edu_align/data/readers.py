"""Strict readers of JSON, JSONL, CSV and Parquet: every error names the file and the row and shows it.

Also what a value from a file must be before it is used as text or as a number.
"""

import csv
import difflib
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from edu_align.data.rows.left_out import LeftOut
from edu_align.records import Record
from edu_align.utils.errors import UserError

SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")
SHOWN = 300  # most characters of a row that an error prints
FIELD_LIMIT = 2**31 - 1  # most characters of a CSV cell
MOST_LEVELS = 50  # of objects and lists in each other, in one row
NO_UNICODE = "text that is no Unicode (a lone surrogate)"
PARQUET_ROWS = 256  # rows of a Parquet file that are decoded at a time

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One row and where it stands. What is null (or a number that is none) is absent.

    `number` counts from 1: the line of a JSONL file, else the data row; 0 marks a part of a row, whose `file` then
    says which. `fault`: why it cannot be used, whatever column is read; "" where it can. `columns`: all names, also
    of what is absent.
    """

    data: dict[str, Any]
    file: str
    number: int
    fault: str = ""
    columns: tuple[str, ...] = field(init=False, default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.data))
        object.__setattr__(self, "data", {key: value for key, value in self.data.items() if not is_absent(value)})

    @property
    def place(self) -> str:
        return f"{self.file}, row {self.number}" if self.number else self.file

    def shown(self) -> str:
        """The row as JSON, shortened for an error message."""
        return shorten(json.dumps(self.data, ensure_ascii=False, default=str))

    def get(self, column: str, kind: type[T]) -> T:
        """The value of a column that has to be there and of that type. Raises UserError otherwise."""
        if column not in self.data and column in self.columns:
            raise UserError(f"{self.place}: `{column}` is null. Mend the row: {self.shown()}")
        if column not in self.data:
            raise UserError(f"{self.place}: no column `{column}`{self._near(column)} The row: {self.shown()}")
        value = self.data[column]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
            raise UserError(
                f"{self.place}: `{column}` must be {_name(kind)}, got {_name(type(value))} "
                f"{brief(value)}. Mend the row: {self.shown()}"
            )
        return value

    def nested(self, column: str) -> list["Row"]:
        """A column that holds a list of objects, each as a row of its own that keeps this one's place."""
        result = []
        for i, item in enumerate(self.get(column, list)):
            if not isinstance(item, dict):
                raise UserError(
                    f"{self.place}: `{column}[{i}]` must be an object, got {_name(type(item))} "
                    f"{brief(item)}. Mend the row: {self.shown()}"
                )
            result.append(Row(item, f"{self.place}, {column}[{i}]", 0))
        return result

    def child(self, column: str) -> "Row":
        """A column that holds an object, as a row of its own."""
        return Row(self.get(column, dict), f"{self.place}, {shorten(column, 80)}", 0)

    def _near(self, column: str) -> str:
        near = difflib.get_close_matches(column, list(self.data), n=1, cutoff=0.5)
        hint = f" (did you mean `{near[0]}`?)" if near else ""
        return f"{hint}. Columns that are there: {shorten(', '.join(map(str, self.data))) or 'none'}."


Convert = Callable[[Row, str], Record | str]  # a row and the id of its record -> the record, or why there is none


def convert_rows(rows: Iterable[tuple[int, Row]], convert: Convert, prefix: str) -> Iterator[Record | LeftOut]:
    """Numbered rows as records, or as reasons why they cannot be used; the ids are `prefix:number`."""
    for number, row in rows:
        found = row.fault or convert(row, f"{prefix}:{number}")
        yield LeftOut(found, row.place) if isinstance(found, str) else found


def shorten(text: str, limit: int = SHOWN) -> str:
    return text if len(text) <= limit else text[:limit] + f"... ({len(text)} characters)"


def brief(value: Any) -> str:
    """A value as an error message quotes it."""
    return shorten(repr(value), 80)


def _name(kind: type) -> str:
    names = {str: "text", list: "a list", dict: "an object", int: "a number", float: "a number", type(None): "null"}
    return names.get(kind, kind.__name__)


def read_rows(path: str | Path) -> list[Row]:
    """All rows of a file, see `iter_rows`."""
    return list(iter_rows(path))


def iter_rows(path: str | Path) -> Iterator[Row]:
    """The rows of a file one by one; the suffix decides how it is read (.jsonl, .json, .csv, .parquet).

    Only .json, which holds a list of objects, is read whole. Blank lines of a JSONL file are skipped. Raises UserError
    for a missing, empty or broken file, an unknown suffix, and a row that is not an object, when it comes to it.
    """
    path = Path(path)
    readers = {".jsonl": _jsonl, ".json": _json, ".csv": _csv, ".parquet": _parquet}
    if path.suffix not in readers:
        raise UserError(f"{path}: the suffix must be one of {', '.join(SUFFIXES)}, got {path.suffix!r}. Rename it.")
    if not path.is_file():
        what = "it is a folder" if path.is_dir() else "there is no such file"
        raise UserError(f"{path}: {what} (the current folder is {Path.cwd()}). Check the path.")
    number = 0
    try:
        for number, data in readers[path.suffix](path):
            if not isinstance(data, dict):
                raise UserError(
                    f"{path}, row {number}: a row must be an object, got {_name(type(data))} "
                    f"{brief(data)}. Write {{column: value}} for each row."
                )
            yield checked_row(data, str(path), number)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}. Save the file as UTF-8.") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}). Check the file and its rights.") from None
    if not number:
        raise UserError(f"{path}: the file holds no rows. Check that it was written or downloaded to its end.")


def checked_row(data: dict[str, Any], file: str, number: int) -> Row:
    """A row with its `fault`."""
    deep, text = depth_and_unicode(data)
    fault = f"nested more than {MOST_LEVELS} levels deep" if deep > MOST_LEVELS else "" if text else NO_UNICODE
    return Row(data, file, number, fault)


def _jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, _parse(line, f"{path}, row {number}")


def _json(path: Path) -> Iterator[tuple[int, Any]]:
    text = path.read_text(encoding="utf-8-sig")
    if not text.strip():
        return
    data = _parse(text, str(path))
    if not isinstance(data, list):
        raise UserError(
            f"{path}: the file must hold a list of objects, got {_name(type(data))} "
            f"{brief(data)}. Wrap the rows in [...], or name the file .jsonl with one object a line."
        )
    yield from enumerate(data, start=1)


def _parse(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        around = text[max(0, error.pos - 60) : error.pos + 60]
        raise UserError(
            f"{place}: broken JSON, {error.msg} at line {error.lineno}, column {error.colno}, near {around!r}. Mend it."
        ) from None
    except (RecursionError, ValueError) as error:  # brackets in brackets, a number of thousands of digits
        raise UserError(f"{place}: JSON that cannot be read ({shorten(str(error), 120)}). Mend it.") from None


def _csv(path: Path) -> Iterator[tuple[int, Any]]:
    csv.field_size_limit(FIELD_LIMIT)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        number = 0
        try:
            for number, data in enumerate(reader, start=1):
                cells = [value for key, value in data.items() if key is not None]
                if None in data or None in cells:
                    extra = len(data.get(None) or [])
                    found = len([cell for cell in cells if cell is not None]) + extra
                    raise UserError(
                        f"{path}, row {number}: {found} cells under {len(reader.fieldnames or [])} column names. "
                        f"Quote cells that hold commas. The row: {shorten(repr(cells))}"
                    )
                yield number, data
        except csv.Error as error:
            raise UserError(f"{path}, row {number + 1}: broken CSV, {error}. Mend the quotes there.") from None


def _parquet(path: Path) -> Iterator[tuple[int, Any]]:
    import pyarrow.parquet
    from pyarrow import ArrowException

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=PARQUET_ROWS):
                for data in batch.to_pylist():
                    yield (number := number + 1), data
    except (ArrowException, OSError, OverflowError, ValueError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({shorten(str(error), 120)}). Write it anew.") from None


def is_absent(value: Any) -> bool:
    """Whether a value stands for none: null, or the NaN that pandas writes in its place."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def is_unicode(text: str) -> bool:
    """Whether the text can be written as UTF-8, which half of a surrogate pair cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def depth_and_unicode(value: Any) -> tuple[int, bool]:
    """How many levels of objects and lists a value has, and whether all text in it is Unicode."""
    deepest, text = 0, True
    left = [(value, 1)]
    while left:
        item, level = left.pop()
        deepest = max(deepest, level)
        if isinstance(item, str):
            text = text and is_unicode(item)
        elif isinstance(item, dict):
            left += [(inner, level + 1) for pair in item.items() for inner in pair]
        elif isinstance(item, list | tuple):
            left += [(inner, level + 1) for inner in item]
    return deepest, text


def finite(value: Any) -> float | None:
    """A number as a float; None for everything else: text, true, NaN, infinity, an integer beyond the floats."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
