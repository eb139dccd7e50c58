"""Rows of JSON: one object a line, objects one behind another, a list of objects, or an object that holds one."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from edu_align.data.found import Found
from edu_align.data.rows.words import COLUMNS, SAID, WHO, known, plain
from edu_align.utils.errors import UserError
from edu_align.utils.words import in_shell, shorten

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
