"""What a file said besides its records: counted while its rows are read, and told once."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from edu_align.utils.words import shorten

SHOWN = 12  # names in one line


@dataclass
class Tally:
    """`shapes`: rows of each. `read_as`: (their column, ours). `columns`, `keys`: what was not read, by its name.

    `said`: whole sentences with the number of rows or turns that they hold for.
    """

    shapes: Counter[str] = field(default_factory=Counter)
    read_as: Counter[tuple[str, str]] = field(default_factory=Counter)
    columns: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)

    def note(self, forced: bool) -> str:
        """The shapes, for the line of the file."""
        if not self.shapes:
            return ""
        if len(self.shapes) == 1:
            return f"format {next(iter(self.shapes))}" + ("" if forced else ", by its columns")
        return "formats " + ", ".join(f"{name} {count}" for name, count in self.shapes.most_common()) + ", row by row"

    def lines(self) -> list[str]:
        """One line a kind of finding."""
        found = []
        if self.read_as:
            found.append("read " + _listed(f"`{theirs}` as {ours}" for theirs, ours in self.read_as))
        if self.columns:
            found.append("not read: columns " + _listed(_counted(self.columns, "rows")))
        if self.keys:
            found.append("not read: keys of turns " + _listed(_counted(self.keys, "turns")))
        return found + [
            f"{count} {'time' if count == 1 else 'times'}: {sentence}"
            for sentence, count in self.said.most_common(SHOWN)
        ]


def _counted(names: Counter[str], what: str) -> Iterable[str]:
    return (f"`{shorten(name, 40)}` ({count} {what})" for name, count in names.most_common())


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more
