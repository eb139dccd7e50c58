"""A file's rows as records or counted reasons, and the message of a file that has no usable row."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from edu_align.data.readers import Row
from edu_align.data.rows.advice import mapping_advice
from edu_align.data.rows.columns import Cells, Columns
from edu_align.data.rows.left_out import LeftOut, RowError
from edu_align.data.rows.shapes import NO_REPLIES, shape_of, to_record
from edu_align.data.rows.tally import Tally
from edu_align.records import Record
from edu_align.utils.errors import UserError

SHOWN = 10  # reasons in a message
FORMATS = {"messages": "messages", "sharegpt": "messages"}  # `dataset.format` -> shape, where they differ


@dataclass
class RowReader:
    """Reads the rows of one file. `view`: conversation | preference; `format`: auto, or the shape of every row."""

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
