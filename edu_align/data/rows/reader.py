"""A file's rows as records or counted reasons, and the message of a file that has no usable row."""

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from edu_align.data.readers import Row
from edu_align.data.rows.columns import Cells, Columns, is_blank, spells_turns
from edu_align.data.rows.shapes import NO_REPLIES, shape_of, to_record
from edu_align.data.rows.words import COLUMNS, EXPLICIT, LeftOut, RowError, Tally, plain
from edu_align.records import Record
from edu_align.utils.errors import UserError

# Parts of column names in a few languages; the first of ours that has one in a name takes the column.
_HINTS = {
    "rejected": "reject schlecht bad worse worst falsch wrong lose mauvais malo peor negativ dispref non_pref neg_",
    "chosen": "chosen choose prefer accept win good gut better besser best richtig bon buen mejor positiv pos_",
    "system": "system",
    "completion": "completion answer antwort reply response respuesta réponse tutor lehr teach assist output ausgabe "
    "solution lösung loesung",
    "prompt": "prompt frag quest query aufgabe problem instruc input eingabe stud schül schuel user human pregunta",
}
_WANTS = {
    "preference": ("prompt", "chosen", "rejected"),
    "completion": ("prompt", "completion"),
    "responses": ("prompt", "responses"),
    "messages": ("messages",),
    "sharegpt": ("messages",),
    "text": ("text",),
    "labels": ("prompt", "completion", "label"),
}
_VERDICT = re.compile(r"^(winner|prefer(red|ence)|choice|better|best|label)(_(id|response|answer|reply))*$|^better_")
_SIMPLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = frozenset(("null", "true", "false", "nan", "inf"))


def mapping_advice(sample: Sequence[Cells], view: str, format: str) -> str:
    """`Map your columns, for example: dataset.columns='{prompt: Frage, ...}'`; "" where the file has too few."""
    columns = _columns(sample)
    if not columns:
        return ""
    if all(spells_turns(cells.row.data) for cells in sample):
        return 'Each row is one turn. Write those of a dialogue into one row: {"messages": [turn, turn, ...]}.'
    if view != "labels" and (verdict := next((column for column in columns if _VERDICT.search(plain(column))), None)):
        return f"`{verdict}` seems to say which reply is better. Write that one as `chosen`, the other as `rejected`."
    if format == "auto" and any(cells.mapped or _has_shape(cells) for cells in sample):
        return ""
    guess = _guess(columns, view, format)
    known = "Known are messages; prompt + chosen + rejected; prompt + responses; prompt + completion"
    known += " + label or score." if view == "labels" else "."
    if not guess:
        return f"{known} Name or map your columns: dataset.columns={{ours: yours}}."
    pairs = "trainer=dpo " if view == "conversation" and "rejected" in guess else ""
    return f"{known} Yours may be meant so: {pairs}{columns_word(guess)}"


def columns_word(mapping: dict[str, str]) -> str:
    """The mapping as one word of a command line, quoted for a shell."""
    inner = ", ".join(f"{ours}: {_quoted(theirs)}" for ours, theirs in mapping.items())
    key, value = "dataset.columns", "{" + inner + "}"
    return f"{key}={shlex.quote(value)}"


def _quoted(name: str) -> str:
    """A column's name as a value of Hydra's grammar."""
    if _SIMPLE.fullmatch(name) and name.lower() not in _WORDS:
        return name
    return '"' + re.sub(r'(\\*)"', r'\1\1\\"', name) + '"'


def _has_shape(cells: Cells) -> bool:
    wants = (("messages",), ("chosen", "rejected"), ("responses",), ("prompt", "completion"))
    return any(all(cells.name(ours) for ours in names) for names in wants)


def _columns(sample: Sequence[Cells]) -> dict[str, Any]:
    """The columns that hold text or lists, with a value of each."""
    values: dict[str, Any] = {}
    for cells in sample:
        for column, value in cells.row.data.items():
            said = isinstance(value, str | list | dict) or _VERDICT.search(plain(str(column)))
            if said and not is_blank(value):
                values.setdefault(str(column), value)
    return {column: value for column, value in values.items() if plain(column) not in EXPLICIT and column.strip()}


def _guess(columns: dict[str, Any], view: str, format: str) -> dict[str, str]:
    """Ours -> theirs, by hints in the names first and then by their order; {} where no shape can be filled."""
    lists = [column for column, value in columns.items() if isinstance(value, list)]
    if format == "auto" and len(columns) == len(lists) == 1:
        return {"messages": lists[0]}
    found: dict[str, str] = {}
    for column in columns:
        name = plain(column)
        by_name = next((ours for ours, names in COLUMNS.items() if name in names), None)
        hinted = (ours for ours, hints in _HINTS.items() if any(hint in name for hint in hints.split()))
        ours = by_name or next((ours for ours in hinted if ours not in found), None)
        if ours:
            found.setdefault(ours, column)
    pairs = view == "preference" or {"chosen", "rejected"} <= set(found)
    usual = "labels" if view == "labels" else "preference" if pairs else "completion"
    wanted = _WANTS[usual if format == "auto" else format]
    left = [column for column in columns if column not in [found[ours] for ours in wanted if ours in found]]
    for ours in wanted:
        if ours not in found:
            if not left:
                return {}
            found[ours] = left.pop(0)
    return {ours: found[ours] for ours in (*wanted, "system") if ours in found}


SHOWN = 10  # reasons in a message
FORMATS = {"messages": "messages", "sharegpt": "messages"}  # `dataset.format` -> shape, where they differ


@dataclass
class RowReader:
    """Reads the rows of one file. `view`: conversation | preference | labels; `format`: auto, or every row's shape."""

    columns: Columns
    view: str
    format: str = "auto"
    tally: Tally = field(default_factory=Tally)

    def read(self, row: Row) -> Record | LeftOut:
        """The record of a row, or why it has none; what it holds besides is tallied."""
        if row.left_out:
            return row.left_out
        cells = self.columns.of(row)
        if row.detail:
            self.tally.said[row.detail] += 1
        try:
            forced = FORMATS.get(self.format, self.format)
            shape = shape_of(cells, self.view) if self.format == "auto" else forced
            record = to_record(cells, shape, self.view, self.tally)
        except RowError as error:
            return error.left_out
        self.tally.shapes["sharegpt" if shape == "messages" and cells.name(shape) == "conversations" else shape] += 1
        cells.count(self.tally)
        return record

    def records(self, rows: Iterable[Row], file: str) -> Iterator[Record | LeftOut]:
        """The rows of a file, read one by one.

        Raises UserError at its end: for a mapped column that no row has, and where no row could be used.
        """
        used, reasons, first = False, Counter[str](), dict[str, str]()
        sample: list[Cells] = []
        for row in rows:
            found = self.read(row)
            if isinstance(found, LeftOut):
                reasons[found.reason] += 1
                first.setdefault(found.reason, found.place)
                if len(sample) < SHOWN and not row.fault:
                    sample.append(self.columns.of(row))
            used = used or not isinstance(found, LeftOut)
            yield found
        self.columns.check(file)
        if not used:
            raise UserError(self._no_row(file, reasons, first, sample))

    def _no_row(self, file: str, reasons: Counter[str], first: dict[str, str], sample: list[Cells]) -> str:
        lines = [f"{file}: no record is left, none of its {reasons.total()} rows can be used."]
        lines += reason_lines(reasons, first)
        if self.view == "preference" and set(reasons) == {NO_REPLIES}:
            return "\n".join([*lines, _WANTED])
        return "\n".join(filter(None, [*lines, mapping_advice(sample, self.view, self.format)]))


_WANTED = (
    "The file has conversations only, preference training needs scored replies: give prompt + chosen + rejected, or "
    "prompt + responses; train on it with trainer=sft; or take a `dataset` that has preferences."
)


def reason_lines(reasons: Counter[str], first: dict[str, str]) -> list[str]:
    """One line a reason, the most frequent ones first: how many rows, and the first place."""
    lines = [
        f"  left out {count}: {reason}" + (f" (first: {first[reason]})" if first.get(reason) else "")
        for reason, count in islice(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])), SHOWN)
    ]
    more = len(reasons) - len(lines)
    return [*lines, f"  and {more} more reasons"] if more > 0 else lines
