"""Rows of files: every error names the file and the row and shows it.

Also what a value from a file must be before it is used as text or as a number.
"""

import difflib
import json
import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from lzma import LZMAError
from pathlib import Path
from typing import Any, TypeVar

from edu_align.data.row_files import RowFile, look_at
from edu_align.data.rows.words import LeftOut
from edu_align.records import Record
from edu_align.utils.errors import UserError
from edu_align.utils.words import brief, kind_name, shorten

MOST_LEVELS = 50  # of objects and lists in each other, in one row
NO_UNICODE = "text that is no Unicode (a lone surrogate, or bytes of another encoding than the file's)"

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One row and where it stands. What is null (or a number that is none) is absent.

    `number` counts from 1: the line of a JSONL file, else the data row; 0 marks a part of a row, whose `file` then
    says which. `fault`: why it cannot be used, whatever column is read, in words that such rows share; "" where it can.
    `detail`: the same in words of this row, or what was made of a row that can be used. `columns`: all
    names, also of what is absent.
    """

    data: dict[str, Any]
    file: str
    number: int
    fault: str = ""
    detail: str = ""
    columns: tuple[str, ...] = field(init=False, default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.data))
        object.__setattr__(self, "data", {key: value for key, value in self.data.items() if not is_absent(value)})

    @property
    def place(self) -> str:
        return f"{self.file}, row {self.number}" if self.number else self.file

    @property
    def left_out(self) -> LeftOut | None:
        """Why nothing can be read of it, where that is so."""
        place = f"{self.place}: {self.detail}" if self.detail else self.place
        return LeftOut(self.fault, place) if self.fault else None

    def shown(self) -> str:
        """The row as JSON, shortened for an error message."""
        return shorten(json.dumps(self.data, ensure_ascii=False, default=str))

    def get(self, column: str, kind: type[T]) -> T:
        """The value of a column that has to be there and of that type. Raises UserError otherwise."""
        if column not in self.data and column in self.columns:
            raise UserError(f"{self.place}: `{column}` is null. Mend the row: {self.shown()}")
        if column not in self.data:
            if self.fault:
                raise UserError(f"{self.place}: {self.fault}, {self.detail}. Mend it.")
            raise UserError(f"{self.place}: no column `{column}`{self._near(column)} The row: {self.shown()}")
        value = self.data[column]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
            raise UserError(
                f"{self.place}: `{column}` must be {kind_name(kind)}, got {kind_name(type(value))} "
                f"{brief(value)}. Mend the row: {self.shown()}"
            )
        return value

    def nested(self, column: str) -> list["Row"]:
        """A column that holds a list of objects, each as a row of its own that keeps this one's place."""
        result = []
        for i, item in enumerate(self.get(column, list)):
            if not isinstance(item, dict):
                raise UserError(
                    f"{self.place}: `{column}[{i}]` must be an object, got {kind_name(type(item))} "
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
        found = row.left_out or convert(row, f"{prefix}:{number}")
        yield LeftOut(found, row.place) if isinstance(found, str) else found


def read_rows(path: str | Path) -> list[Row]:
    """All rows of a file, see `iter_rows`."""
    return list(iter_rows(path))


def iter_rows(path: str | Path) -> Iterator[Row]:
    """The rows of a file one by one, see `look_at` and `rows_of`."""
    yield from rows_of(look_at(Path(path)))


def rows_of(file: RowFile) -> Iterator[Row]:
    """The rows of a file that was looked at, those that cannot be used with their `fault`.

    Raises UserError when it comes to a place from which nothing more can be read, and for a file without rows.
    """
    number = 0
    try:
        for number, value, fault, detail in file.read():
            if not fault and not isinstance(value, dict):
                value, fault, detail = {}, "a row that is no object", f"{kind_name(type(value))} {brief(value)}"
            row = checked_row(value, str(file.path), number)
            yield Row(value, row.file, number, fault, detail) if (fault or detail) and not row.fault else row
    except UnicodeDecodeError as error:
        raise UserError(f"{file.path}: broken text ({error.reason}). Save the file anew, as UTF-8.") from None
    except (OSError, EOFError, zlib.error, LZMAError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{file.path}: cannot be read ({reason}). Check the file and its rights.") from None
    if not number:
        raise UserError(f"{file.path}: the file holds no rows. Check that it was written or downloaded to its end.")


def checked_row(data: dict[str, Any], file: str, number: int) -> Row:
    """A row, with its `fault` where it is nested too deeply to be anything but broken, or holds what is no text."""
    deep, text = depth_and_unicode(data)
    if deep > MOST_LEVELS:
        return Row({}, file, number, "nested too deeply", f"{deep} levels; at most {MOST_LEVELS} are read")
    return Row(data, file, number, "" if text else NO_UNICODE)


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
