"""Files of prompts: what is to be answered."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edu_align.data.readers import Row, rows_of
from edu_align.data.row_files import look_at
from edu_align.data.rows.columns import Cells, Columns
from edu_align.data.rows.left_out import RowError
from edu_align.data.rows.reader import reason_lines
from edu_align.data.rows.shapes import explicit, prompt_and_reply
from edu_align.data.rows.tally import Tally
from edu_align.data.rows.words import COLUMNS
from edu_align.records import Message
from edu_align.utils.errors import UserError
from edu_align.utils.words import shorten

# Lines of text are prompts where they are no table with one of these columns.
LINES = (*COLUMNS["prompt"], *COLUMNS["messages"], "chosen", "text")


@dataclass(frozen=True)
class Prompt:
    """Turns that end with the user's. `reference` is the reply that stood behind them in the file, if one did."""

    id: str
    turns: tuple[Message, ...]
    reference: str | None = None


def read_prompts(path: str | Path, columns: Mapping[str, str] | None = None) -> list[Prompt]:
    """The prompts of a file of rows, or of lines of text, in its order.

        2 + 3?                                                               a line of text
        {"prompt": "2 + 3?"}  {"question": "2 + 3?", "answer": "5"}          and every other shape that training reads;
        {"messages": [{"role": "user", ...}]}  {"conversations": [...]}      the last reply is taken off as reference

    `columns`: names of ours -> the file's, as far as it has them. A column `id` names the rows, else their number
    does. Rows that cannot be used are counted by reason and printed, as is what was not read. Raises UserError where
    none can be used, and for an id that occurs twice.
    """
    path = Path(path).expanduser()
    file = look_at(path, [*LINES, *(name.casefold() for name in (columns or {}).values())])
    if file.note:
        print(f"edu_align: {path}: {file.note}", flush=True)
    rows = list(rows_of(file))
    there = {column for row in rows for column in row.columns}
    names = Columns({"id": "id"} | {ours: theirs for ours, theirs in (columns or {}).items() if theirs in there})
    tally, reasons, first = Tally(), Counter[str](), dict[str, str]()
    prompts: list[Prompt] = []
    seen: dict[str, str] = {}
    for row in rows:
        try:
            prompt = _prompt(row, names.of(row), tally)
        except RowError as error:
            reasons[error.left_out.reason] += 1
            first.setdefault(error.left_out.reason, error.left_out.place)
            continue
        if prompt.id in seen:
            raise UserError(f"{row.place}: the id {prompt.id!r} is taken by {seen[prompt.id]}. Give each row its own.")
        seen[prompt.id] = row.place
        prompts.append(prompt)
    lines = reason_lines(reasons, first)
    if not prompts:
        known = shorten(", ".join(sorted(there))) or "none"
        raise UserError("\n".join([
            f"`input={path}`: none of its {len(rows)} rows has a prompt.", *lines,
            f"Name the column that holds it `prompt` (text or turns). Columns that are there: {known}.",
        ]))  # fmt: skip
    for line in [*tally.lines(), *(line.strip() for line in lines)]:
        print(f"edu_align: {path.name}: {line}", flush=True)
    return prompts


def _prompt(row: Row, cells: Cells, tally: Tally) -> Prompt:
    if row.fault:
        raise RowError(row.fault, row.place, row.detail)
    if row.detail:
        tally.said[row.detail] += 1
    turns, reference = prompt_and_reply(cells, tally)
    name = explicit(cells, "id") or str(row.number)
    cells.count(tally)
    return Prompt(name, turns, reference)
