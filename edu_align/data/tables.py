"""Rows of tables: CSV with whatever stands between its cells, Parquet, and workbooks of spreadsheet programs."""

import csv
import io
import itertools
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date, time
from pathlib import Path
from typing import IO, Any

from edu_align.data.encodings import Found
from edu_align.utils.errors import UserError
from edu_align.utils.words import brief, shorten

DELIMITERS = (",", ";", "\t", "|")
ONE_COLUMN = "\x1f"  # stands between no cells
NAMES = {",": "','", ";": "';'", "\t": "tabs", "|": "'|'"}
FIELD_LIMIT = 2**31 - 1  # most characters of a CSV cell
NULLS = ("nan", "NaN", "null", "NULL", "None", "<NA>")  # a table has no null of its own, and these are written for it
SAMPLE, SNIFFED = 2**16, 100  # characters and rows from which the delimiter is told
SAID = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
WORKBOOK_PART = re.compile(r"xl/|content\.xml")  # in the zip archive that .xlsx and .ods are
PARQUET_ROWS = 256  # rows of a Parquet file that are decoded at a time


def delimiter_of(text: str) -> tuple[str, float]:
    """What stands between the cells of a table that begins with `text`, and the share of rows that agree on it.

    A row agrees that has as many cells as the first one; of delimiters that fit equally, the one with the most cells
    is taken. A first line `sep=;`, which Excel writes, says it. `ONE_COLUMN` and 0.0 where there is one column.
    """
    if (said := SAID.match(text)) is not None:
        return said[1], 1.0
    csv.field_size_limit(FIELD_LIMIT)
    found = [(*_agreement(text, delimiter), delimiter) for delimiter in DELIMITERS]
    share, cells, delimiter = max(found, key=lambda each: (round(each[0], 1), each[1]))
    return (delimiter, share) if cells > 1 else (ONE_COLUMN, 0.0)


def _agreement(text: str, delimiter: str) -> tuple[float, int]:
    """The share of rows with as many cells as the first one, and how many those are; 0.0 for one cell."""
    rows: list[list[str]] = []
    with suppress(csv.Error):
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True):
            rows += [row] if any(row) else []
            if len(rows) > SNIFFED:
                break
    if len(text) >= SAMPLE and 2 < len(rows) <= SNIFFED:
        rows.pop()  # it may be cut
    if not rows or len(rows[0]) < 2:
        return 0.0, 1
    return sum(len(row) == len(rows[0]) for row in rows) / len(rows), len(rows[0])


def column_names(text: str, delimiter: str) -> list[str]:
    """The cells of the first line of a table that begins with `text`."""
    with suppress(csv.Error):
        lines = io.StringIO(SAID.sub("", text, count=1), newline="")
        return next(csv.reader(lines, delimiter=delimiter, skipinitialspace=True), [])
    return []


def csv_rows(lines: Iterator[str], path: Path, delimiter: str) -> Iterator[Found]:
    """The data rows of a CSV under its first line. One with too many or too few cells, or broken quotes, is a fault.

    Raises UserError for a quote that is never closed, which takes all that follows with it, and for a broken header.
    """
    csv.field_size_limit(FIELD_LIMIT)
    first = next(lines, "")
    lines = lines if SAID.match(first) else itertools.chain([first.lstrip("\ufeff")], lines)
    rows = _cells(csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True), path)
    head = next(rows, None)
    if head is None:
        return
    names = _header(head[0], path)
    between = NAMES.get(delimiter, repr(delimiter))
    needed = max((i for i, name in enumerate(names, start=1) if name), default=0)
    for number, (cells, broken) in enumerate(rows, start=1):
        while len(cells) > len(names) and not cells[-1].strip():
            cells.pop()
        row = {name: cell for name, cell in zip(names, cells, strict=False) if name}
        if broken or needed <= len(cells) <= len(names):
            yield Found(number, row, "broken quotes in a CSV" if broken else "", broken or _nulls(row))
        else:
            fault = f"{'more' if len(cells) > len(names) else 'fewer'} cells than column names"
            detail = f"{len(cells)} cells under {len(names)} names. Quote cells that hold {between} or line breaks."
            yield Found(number, row, fault, detail)


def _nulls(row: dict[str, Any]) -> str:
    """Empty the cells whose text is a null of pandas or a database, and say so; "" where there is none."""
    found = [name for name, cell in row.items() if cell in NULLS]
    said = ", ".join(f"`{row[name]}` in `{shorten(name, 40)}`" for name in found)
    row.update(dict.fromkeys(found))
    return f"{said} was read as an empty cell" if found else ""


def _cells(reader: Iterator[list[str]], path: Path) -> Iterator[tuple[list[str], str]]:
    """The cells of each row that is not blank, and what is wrong with its quotes."""
    number = 0
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            if number == 0 or "unexpected end" in str(error):
                place = f"row {number}" if number else "the column names"
                raise UserError(f"{path}, {place}: broken CSV, {error}. Mend the quotes there.") from None
            cells, broken = [], str(error)
        else:
            broken = ""
        if cells is None:
            return
        if broken or any(cell.strip() for cell in cells):
            yield cells, broken
            number += 1


def _header(cells: Iterable[Any], path: Path) -> list[str]:
    """The column names without spaces around them; a column without a name is not read."""
    names = [str(cell).strip() for cell in cells]
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise UserError(f"{path}: two columns are called {brief(twice[0])}. Give each its own name in the first line.")
    return names


def parquet_rows(file: IO[bytes], path: Path) -> Iterator[Found]:
    import pyarrow.parquet
    from pyarrow import ArrowException

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=PARQUET_ROWS):
                for data in batch.to_pylist():
                    yield Found(number := number + 1, data)
    except (ArrowException, OSError, OverflowError, ValueError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({shorten(str(error), 120)}). Write it anew.") from None


def workbook_rows(file: IO[bytes], path: Path) -> tuple[list[Found], str]:
    """The rows of the first sheet that has some, and which one it is."""
    if zipfile.is_zipfile(file) and not any(map(WORKBOOK_PART.match, zipfile.ZipFile(file).namelist())):
        raise UserError(f"{path}: not a file of rows, but a zip archive. Unpack it, and name the file of rows in it.")
    file.seek(0)
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ModuleNotFoundError:
        target = path.with_suffix(".csv").name
        raise UserError(
            f"{path} is a workbook of a spreadsheet program, and the package that reads it is not installed. Either "
            f"pip install python-calamine (the extra `xlsx` of edu_align), or save the sheet as {target}."
        ) from None
    try:
        book = CalamineWorkbook.from_filelike(file)
        sheets = {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}
    except (CalamineError, OSError, ValueError) as error:
        raise UserError(
            f"{path}: not a readable workbook ({shorten(str(error), 120)}). Save it as .xlsx or .csv."
        ) from None
    filled = [name for name, sheet in sheets.items() if len(sheet) > 1]
    if not filled:
        return [], ""
    name, *others = filled
    head, *rows = [[_cell(cell) for cell in row] for row in sheets[name]]
    header = _header(("" if cell is None else cell for cell in head), path)
    found = [
        Found(number, {key: cell for key, cell in zip(header, row, strict=True) if key})
        for number, row in enumerate(rows, start=1)
        if any(cell is not None for cell in row)
    ]
    return found, f"sheet {brief(name)}" + (f"; not read: {', '.join(map(brief, others))}" if others else "")


def _cell(value: Any) -> Any:
    """A cell as JSON has it: whole numbers without a point, dates as text, an empty one as null."""
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None if value == "" else value
