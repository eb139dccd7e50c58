"""Answering a file of prompts in batches: one row a prompt, and a stopped command goes on where it was.

`replies.jsonl` holds {id, prompt, reply} a line; `replies.jsonl.settings.json` holds what made them, once.
"""

import fcntl
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from edu_align.chatting.model import TooLong
from edu_align.chatting.source import Source
from edu_align.data.readers import Row, rows_of
from edu_align.data.row_files import look_at
from edu_align.data.rows.columns import Cells, Columns
from edu_align.data.rows.reader import reason_lines
from edu_align.data.rows.shapes import explicit, prompt_and_reply
from edu_align.data.rows.words import COLUMNS, RowError, Tally
from edu_align.models.chat_template import TemplateError, as_chat
from edu_align.models.tokenizer import tokenizer_identity
from edu_align.records import Message
from edu_align.utils.errors import UserError
from edu_align.utils.files import read_json, write_json
from edu_align.utils.hashing import records_in
from edu_align.utils.jsonl import append_synced, cut_torn_line, numbered_lines
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


def settings_path(output: Path) -> Path:
    """The file beside `output` that says how its replies were made."""
    return output.with_name(f"{output.name}.settings.json")


class ReplyFile:
    """The open file. `done`: ids of the rows that were there already; `cut`: whether a half-written row was removed."""

    def __init__(self, path: Path, file: BinaryIO, prompts: Sequence[Prompt]) -> None:
        self.path = path
        self._file = file
        self.cut = cut_torn_line(path)
        self.done = self._read({prompt.id: as_chat(prompt.turns) for prompt in prompts})

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Append whole rows, and have them on the disk before the next batch begins."""
        append_synced(self._file.fileno(), rows)

    def _read(self, prompts: dict[str, list[dict[str, str]]]) -> set[str]:
        done = set()
        for number, line in numbered_lines(self.path):
            try:
                row = json.loads(line)
                key, prompt = row["id"], row["prompt"]
            except (ValueError, KeyError, TypeError):
                raise UserError(
                    f"`output={self.path}`: row {number} is no reply of this program. Choose another output."
                ) from None
            if key in prompts and prompts[key] != prompt:
                raise UserError(
                    f"`output={self.path}`: row {number} answers another prompt under the id {key!r} than the input "
                    "has now. Choose another output, or delete that one."
                )
            done.add(key)
        return done


@contextmanager
def open_replies(path: Path, settings: dict[str, Any], prompts: Sequence[Prompt]) -> Iterator[ReplyFile]:
    """The file of replies, new or from an earlier start with the same `settings`, for this process alone.

    Errors: an output made with other settings or from other prompts, and one that another process writes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"`output={path}`: another process is writing to it. Wait, or choose another.") from None
        _check_settings(path, settings, empty=file.seek(0, os.SEEK_END) == 0)
        yield ReplyFile(path, file, prompts)


def _check_settings(path: Path, settings: dict[str, Any], empty: bool) -> None:
    file = settings_path(path)
    if empty:
        write_json(file, settings)
        return
    if not file.is_file():
        raise UserError(f"`output={path}` is there already, without {file.name}. Choose another output.")
    before = read_json(file)
    if before is None:
        raise UserError(f"`output={path}`: {file.name} beside it cannot be read. Choose another output.")
    others = [key for key in settings if before.get(key) != settings[key]]
    if others:
        changes = "; ".join(f"{key} was {before.get(key)}, now {settings[key]}" for key in others)
        raise UserError(f"`output={path}` was made with other settings: {changes}. Choose another output.")


def settings_of(source: Source, seed: int) -> dict[str, Any]:
    """What the replies depend on besides the prompts; the batch counts where replies are drawn at random."""
    config = source.config
    sampled = config.generation.temperature > 0
    return {
        "run": source.run.path.resolve().name if source.run else None,
        "run_started": source.run.record.get("started") if source.run else None,
        "model": config.model.name,
        "base_model": source.location.identity,
        "text": tokenizer_identity(config.model, source.location, records_in(config.outputs_root)) or None,
        "system_prompt": config.dataset.system_prompt,
        "generation": asdict(config.generation),
        "quantization": config.hardware.quantization,
        "seed": seed if sampled else None,
        "batch_size": config.hardware.eval_batch_size if sampled else None,
    }


def answer_file(source: Source, prompts: Sequence[Prompt], output: Path, seed: int) -> int:
    """Answer what `output` has no reply to yet, and return how many rows that were.

    Each batch of `hardware.eval_batch_size` prompts has a seed made of `seed` and its ids, so a file that was stopped
    and continued ends as if it had not been.
    """
    with open_replies(output, settings_of(source, seed), prompts) as replies:
        if replies.cut:
            print(f"edu_align: a half-written row at the end of {output} was removed", flush=True)
        left = sum(prompt.id not in replies.done for prompt in prompts)
        if left < len(prompts):
            print(
                f"edu_align: going on in {output}: {len(prompts) - left} of {len(prompts)} rows are there", flush=True
            )
        if left:
            _answer(source, prompts, replies, seed)
    print(f"edu_align: {left} replies written to {output}; the settings lie in {settings_path(output)}", flush=True)
    return left


def _answer(source: Source, prompts: Sequence[Prompt], replies: ReplyFile, seed: int) -> None:
    from edu_align.chatting.model import load
    from edu_align.models.engine import ROWS, writes_exactly

    (chat_model,) = load([source])
    _check_template(chat_model, [prompt for prompt in prompts if prompt.id not in replies.done])
    sampled = chat_model.settings.temperature > 0
    many = not sampled and writes_exactly(chat_model.model)  # the engine takes in what it has room for
    size, total = max(ROWS, chat_model.batch_size) if many else chat_model.batch_size, len(prompts)
    began, fresh = time.monotonic(), 0
    for i in range(0, total, size):
        batch = prompts[i : i + size]
        missing = [prompt for prompt in batch if prompt.id not in replies.done]
        if not missing:
            continue
        # A sampled reply depends on its batch, so the whole batch is sampled even where a part of it is there.
        rows = _batch(chat_model, batch if sampled else missing, seed)
        replies.add([row for row in rows if row["id"] not in replies.done])
        fresh += len(missing)
        seconds = time.monotonic() - began
        print(f"edu_align: {i + len(batch)} of {total} rows, {seconds / fresh:.2f} s a reply", flush=True)


def _check_template(chat_model: Any, prompts: Sequence[Prompt]) -> None:
    """Raise TemplateError where the chat template refuses every prompt."""
    first: TemplateError | None = None
    for prompt in prompts:
        try:
            chat_model.prompt(prompt.turns)
        except TemplateError as error:
            first = first or error.of(prompt.id)
        except TooLong:
            return
        else:
            return
    if first is not None:
        raise first


def _batch(chat_model: Any, prompts: Sequence[Prompt], seed: int) -> list[dict[str, Any]]:
    """One row a prompt, in their order. One that is too long or that the template refuses has no reply and says why."""
    from transformers import set_seed

    from edu_align.models.answers import replies

    rows, fitted = [], []
    for prompt in prompts:
        row: dict[str, Any] = {"id": prompt.id, "prompt": as_chat(prompt.turns), "reply": None}
        if prompt.reference is not None:
            row["reference_reply"] = prompt.reference
        try:
            turns, dropped = chat_model.prompt(prompt.turns)
        except (TooLong, TemplateError) as error:
            row["error"] = error.words if isinstance(error, TemplateError) else str(error)
            print(f"edu_align: row {prompt.id} has no reply: {row['error']}", flush=True)
        else:
            fitted.append((row, turns))
            if dropped:
                row["dropped_turns"] = dropped
        rows.append(row)
    if fitted:
        ids = json.dumps([prompt.id for prompt in prompts])
        set_seed(int.from_bytes(hashlib.sha256(f"{seed}:{ids}".encode()).digest()[:4], "big"))
        with chat_model.activated() as model:
            asked = [turns for _, turns in fitted]
            memory_gb = chat_model.memory_gb
            texts = replies(model, chat_model.tokenizer, asked, chat_model.settings, memory_gb=memory_gb)
        for (row, _), text in zip(fitted, texts, strict=True):
            row["reply"] = text
    return rows
