"""Which of a row's columns stands for which of ours."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edu_align.data.readers import Row
from edu_align.data.rows.tally import Tally
from edu_align.data.rows.words import COLUMNS, EXPLICIT, NAMES, plain
from edu_align.utils.errors import UserError
from edu_align.utils.words import shorten

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
