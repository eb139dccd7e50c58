"""The file of replies: one row a prompt, written as they finish, and taken up again where a start stopped.

`replies.jsonl` holds {id, prompt, reply} a line; `replies.jsonl.settings.json` holds what made them, once.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from edu_align.chatting.prompts import Prompt
from edu_align.errors import UserError
from edu_align.models.tokenizer import as_chat
from edu_align.runs.writing import write_json


def settings_path(output: Path) -> Path:
    """The file beside `output` that says how its replies were made."""
    return output.with_name(f"{output.name}.settings.json")


class Replies:
    """The open file. `done`: ids of the rows that were there already; `cut`: whether a half-written row was removed."""

    def __init__(self, path: Path, file: BinaryIO, prompts: Sequence[Prompt]) -> None:
        self.path = path
        self._file = file
        self.cut = self._cut_torn_row()
        self.done = self._read({prompt.id: as_chat(prompt.turns) for prompt in prompts})

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Append whole rows, and have them on the disk before the next batch begins."""
        self._file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def _cut_torn_row(self) -> bool:
        self._file.seek(0)
        written = self._file.read()
        whole = written.rfind(b"\n") + 1
        self._file.truncate(whole)
        self._file.seek(0, os.SEEK_END)
        return whole < len(written)

    def _read(self, asked: dict[str, list[dict[str, str]]]) -> set[str]:
        self._file.seek(0)
        done = set()
        for number, line in enumerate(self._file.read().splitlines(), start=1):
            try:
                row = json.loads(line)
                key, prompt = row["id"], row["prompt"]
            except (ValueError, KeyError, TypeError):
                raise UserError(
                    f"`output={self.path}`: row {number} is no reply of this program. Choose another output."
                ) from None
            if key in asked and asked[key] != prompt:
                raise UserError(
                    f"`output={self.path}`: row {number} answers another prompt under the id {key!r} than the input "
                    "has now. Choose another output, or delete that one."
                )
            done.add(key)
        return done


@contextmanager
def opened(path: Path, settings: dict[str, Any], prompts: Sequence[Prompt]) -> Iterator[Replies]:
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
        yield Replies(path, file, prompts)


def _check_settings(path: Path, settings: dict[str, Any], empty: bool) -> None:
    beside = settings_path(path)
    if empty:
        write_json(beside, settings)
        return
    if not beside.is_file():
        raise UserError(f"`output={path}` is there already, without {beside.name}. Choose another output.")
    before = json.loads(beside.read_text(encoding="utf-8"))
    others = [key for key in settings if before.get(key) != settings[key]]
    if others:
        changes = "; ".join(f"{key} was {before.get(key)}, now {settings[key]}" for key in others)
        raise UserError(f"`output={path}` was made with other settings: {changes}. Choose another output.")
