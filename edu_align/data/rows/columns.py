"""Which of a row's columns stands for which of ours."""

import ast
import difflib
import io
import json
import re
import tokenize
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from edu_align.data.readers import MOST_LEVELS, Row, depth_and_unicode
from edu_align.data.rows.words import COLUMNS, EXPLICIT, NAMES, ROLES, SAID, WHO, RowError, Tally, known, plain
from edu_align.utils.errors import UserError
from edu_align.utils.words import brief, shorten

REPR = "Python's repr of a list or an object, write it with json.dumps"
_OBJECTS = re.compile(r"(array\()?[\[(]*\s*(\w+\()?[\[({]*\s*(['\"](?P<key>\w+)['\"]\s*[:,]|(?P<argument>\w+)=['\"])")
_BEGINS = ("[", "{", "(", "array(", '"[', '"{')
_STRINGS = re.compile(r"\[\s*('[^']*'|\"[^\"]*\")(\s+('[^']*'|\"[^\"]*\"))*\s*\]")
_TEXT_PARTS = ("text", "input_text", "output_text")


def decoded(value: Any, place: str, as_list: bool = False) -> Any:
    """A cell with the turns that its text spells as JSON or as Python's literal; other text stays text.

    `as_list`: the column holds a list, whatever is in it. Raises RowError for text that is Python's or NumPy's repr
    and cannot be read back.
    """
    text = value.strip() if isinstance(value, str) else ""
    if not text.startswith(_BEGINS) or (text[0] == "(" and not as_list and not _looks_like_repr(text)):
        return value
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = _literal(text)
        if found is None and (as_list or _looks_like_repr(text)):
            raise RowError(REPR if _looks_like_repr(text) else "a list that is no JSON", place, brief(text)) from None
        if found is not None and not (as_list or spells_turns(found)):
            raise RowError(REPR, place, brief(text)) from None
    if isinstance(found, str):  # a text that was written as JSON twice
        inner = decoded(found, place, as_list)
        return value if inner is found else inner
    if found is None or not (as_list or spells_turns(found)):
        return value
    levels, _ = depth_and_unicode(found)
    if levels > MOST_LEVELS:
        raise RowError(f"nested more than {MOST_LEVELS} levels deep", place)
    return found


def _literal(text: str) -> Any:
    """What a Python literal of a list or an object spells; None where it is none, or could be read in two ways."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = ast.literal_eval(text)
        kinds = [token.type for token in tokenize.generate_tokens(io.StringIO(text).readline)]
    except (ValueError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError):
        return None
    # NumPy writes no commas, and Python joins texts that stand side by side.
    texts = [kind == tokenize.STRING for kind in kinds if kind != tokenize.NL]
    joined = any(one and other for one, other in pairwise(texts))
    return _listed(found) if isinstance(found, list | tuple | dict) and found and not joined else None


def _listed(value: Any) -> Any:
    """A literal with lists in the place of its tuples."""
    if isinstance(value, dict):
        return {key: _listed(inner) for key, inner in value.items()}
    return [_listed(inner) for inner in value] if isinstance(value, list | tuple) else value


def _looks_like_repr(text: str) -> bool:
    objects = _OBJECTS.match(text)
    if objects:
        return plain(objects["key"] or objects["argument"]) in (*WHO, *SAID, "type")
    return text.startswith("array(") or _STRINGS.fullmatch(text) is not None


def spells_turns(value: Any) -> bool:
    """Whether a value is a turn, a list of turns, or an object that holds such a list."""
    items = value if isinstance(value, list) else [value]
    return bool(items) and all(isinstance(item, dict) and _is_turn(item) for item in items)


def _is_turn(item: dict[str, Any]) -> bool:
    who, said = known(item, WHO), known(item, SAID)
    named = who is not None and isinstance(item[who], str) and plain(item[who]) in ROLES
    parts = is_part(item)
    inner = known(item, COLUMNS["messages"])
    return named or parts or (who is not None and said is not None) or (inner is not None and len(item) == 1)


def is_part(item: Any) -> bool:
    """Whether this is a part of a message as OpenAI's API has them."""
    return isinstance(item, dict) and isinstance(item.get("type"), str) and known(item, WHO) is None


def text_of(value: Any, place: str) -> str:
    """Text as it is, numbers as text, the text parts of a message joined. Raises RowError for everything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list) and value:
        return _joined([_part(part, place) for part in value])
    if isinstance(value, dict) and (is_part(value) or list(value) == ["text"]):
        return _part(value, place)
    raise RowError("a value that is no text", place, f"got {brief(value)}")


def _part(part: Any, place: str) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type", "text") if isinstance(part, dict) else None
    text = part.get("text") if isinstance(part, dict) else None
    if kind not in _TEXT_PARTS or not isinstance(text, str):
        raise RowError("a part of a message that is no text", place, f"got {brief(part)}")
    return text


def _joined(parts: list[str]) -> str:
    """Parts as they follow each other; a line break between two that bring no space of their own."""
    text = ""
    for part in parts:
        apart = bool(text and part) and not text[-1].isspace() and not part[0].isspace()
        text += "\n" * apart + part
    return text


def number_in(value: Any) -> Any:
    """A number that a text spells; None for another text, and other values as they are."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return None


UNSAID = ("id",)  # nobody misses them among what is not read


def is_blank(value: Any) -> bool:
    """Whether a cell holds nothing: absent, spaces only, an empty list or object."""
    return value is None or (isinstance(value, str) and not value.strip()) or (value in ([], {}))


@dataclass
class Cells:
    """A row's cells by our names. `names`: one of `NAMES` -> the row's column; `used`: the columns that were read."""

    row: Row
    names: dict[str, str]
    mapped: frozenset[str]
    used: set[str] = field(default_factory=set)

    @property
    def place(self) -> str:
        return self.row.place

    def name(self, ours: str) -> str | None:
        """By which of its names a column is there: one that holds something, a mapped one first."""
        there = [name for name in COLUMNS.get(ours, (ours,)) if name in self.names]
        there.sort(key=lambda name: (is_blank(self._cell(name)), name not in self.mapped))
        return there[0] if there else None

    def _cell(self, name: str) -> Any:
        return self.row.data.get(self.names[name])

    def peek(self, ours: str) -> Any:
        """The cell, which does not count as read; None where it is not there."""
        name = self.name(ours)
        return self._cell(name) if name else None

    def has(self, ours: str) -> bool:
        """Whether the column holds something."""
        return not is_blank(self.peek(ours))

    def get(self, ours: str) -> tuple[Any, str]:
        """The cell and its place; None where it is not there."""
        name = self.name(ours)
        if name is None:
            return None, self.place
        self.used.add(self.names[name])
        return self._cell(name), f"{self.place}, {shorten(self.names[name], 80)}"

    def count(self, tally: Tally) -> None:
        """Enter what was read under another name, and what was not read."""
        for name, column in self.names.items():
            ours = next((one for one, names in COLUMNS.items() if name in names), name)
            filled = column in self.used and not is_blank(self.row.data.get(column))
            if filled and name not in self.mapped and ours not in (name, "messages"):
                tally.read_as[column, ours] += 1
        left = (c for c, value in self.row.data.items() if c not in self.used and not is_blank(value))
        tally.columns.update(str(column) for column in left if plain(str(column)) not in UNSAID)


class Columns:
    """`dataset.columns` (ours -> yours) and the names that are known without it."""

    def __init__(self, mapping: Mapping[str, str]) -> None:
        """Raises UserError for a name that is none of ours."""
        for ours in mapping:
            if ours not in NAMES:
                near = difflib.get_close_matches(ours, NAMES, n=1)
                hint = f" Did you mean `{near[0]}`?" if near else ""
                raise UserError(f"`dataset.columns`: {ours!r} is none of our columns ({', '.join(NAMES)}).{hint}")
        self.mapping = dict(mapping)
        self._unseen = set(mapping.values())
        self._there: dict[str, None] = {}

    def of(self, row: Row) -> Cells:
        """The row's cells by our names."""
        self._unseen.difference_update(row.columns)
        self._there.update(dict.fromkeys(row.columns))
        names = {ours: theirs for ours, theirs in self.mapping.items() if theirs in row.columns}
        taken = set(self.mapping.values())
        exact_first = sorted(row.columns, key=lambda column: column not in NAMES)
        for column in exact_first:
            name = plain(str(column))
            if name in NAMES and name not in EXPLICIT and name not in self.mapping and column not in taken:
                names.setdefault(name, column)
        return Cells(row, names, frozenset(self.mapping))

    def check(self, file: str) -> None:
        """Raises UserError for a mapped column that no row had."""
        for theirs in sorted(self._unseen):
            near = difflib.get_close_matches(theirs, self._there, n=1, cutoff=0.5)
            hint = f" (did you mean `{near[0]}`?)" if near else ""
            raise UserError(
                f"`dataset.columns`: {file} has no column `{theirs}`{hint}. Columns that are there: "
                f"{shorten(', '.join(self._there)) or 'none'}."
            )
