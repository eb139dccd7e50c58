"""Files of prompts: what is to be answered."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edu_align.data.readers import SUFFIXES, Row, read_rows, shorten
from edu_align.data.rows.columns import Cells, Columns
from edu_align.data.rows.left_out import RowError
from edu_align.data.rows.reader import reason_lines
from edu_align.data.rows.shapes import explicit, prompt_and_reply
from edu_align.data.rows.tally import Tally
from edu_align.records import Message
from edu_align.utils.errors import UserError


@dataclass(frozen=True)
class Prompt:
    """Turns that end with the user's. `reference` is the reply that stood behind them in the file, if one did."""

    id: str
    turns: tuple[Message, ...]
    reference: str | None = None


def read_prompts(path: str | Path, columns: Mapping[str, str] | None = None) -> list[Prompt]:
    """The prompts of a .txt (one a line), .jsonl, .json, .csv or .parquet file, in its order.

        2 + 3?                                                               a line of a .txt
        {"prompt": "2 + 3?"}  {"question": "2 + 3?", "answer": "5"}          and every other shape that training reads;
        {"messages": [{"role": "user", ...}]}  {"conversations": [...]}      the last reply is taken off as reference

    `columns`: names of ours -> the file's, as far as it has them. A column `id` names the rows, else their number
    does. Rows that cannot be used are counted by reason and printed, as is what was not read. Raises UserError where
    none can be used, and for an id that occurs twice.
    """
    path = Path(path).expanduser()
    rows = _lines(path) if path.suffix == ".txt" else _rows(path)
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
        raise RowError(row.fault, row.place)
    turns, reference = prompt_and_reply(cells, tally)
    name = explicit(cells, "id") or str(row.number)
    cells.count(tally)
    return Prompt(name, turns, reference)


def _rows(path: Path) -> Sequence[Row]:
    if path.suffix not in SUFFIXES:
        raise UserError(f"`input={path}`: the suffix must be one of .txt, {', '.join(SUFFIXES)}, got {path.suffix!r}.")
    return read_rows(path)


def _lines(path: Path) -> list[Row]:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file (the current folder is {Path.cwd()}). Check the path.")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}. Save the file as UTF-8.") from None
    rows = [Row({"prompt": line}, str(path), i) for i, line in enumerate(lines, start=1) if line.strip()]
    if not rows:
        raise UserError(f"{path}: the file holds no line with text.")
    return rows
