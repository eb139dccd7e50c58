"""Votes on answers, kept in a file that preference training reads.

One JSON object a line, in the `responses` shape of `dataset=local`:

    {"vote": "left", "prompt": [...], "responses": [{"text": ..., "score": 1, "author": "my_run"}, {..., "score": 0}],
     "unranked": [], "left": "my_run", ...}

A tie, two bad answers and an opinion on a single answer are kept too, but give no pair: the answers of the first two
stand under `unranked` and `responses` is empty, the third has one response. The loader leaves all of them out and
counts them as "fewer than two replies", in SFT as well, where a bad answer must not become an example.
"""

import fcntl
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from edu_align.chatting.tutor import Voice
from edu_align.data.records import Message
from edu_align.errors import UserError
from edu_align.models.tokenizer import as_chat

PAIR_VOTES = ("left", "right", "tie", "both_bad")
SINGLE_VOTES = ("good", "bad")


@dataclass(frozen=True)
class Answer:
    """What a voice wrote."""

    voice: Voice
    text: str


def vote_row(vote: str, prompt: Sequence[Message], answers: Sequence[Answer]) -> dict[str, Any]:
    """The row of a vote on `answers`, which stand from left to right.

    `prompt` is what they answer, as it was read. Raises ValueError for a vote that does not fit their number.
    """
    if vote not in (PAIR_VOTES if len(answers) == 2 else SINGLE_VOTES):
        raise ValueError(f"{vote!r} is no vote on {len(answers)} answers")
    shown = [{"text": answer.text, "author": answer.voice.label} for answer in answers]
    best = {"left": 0, "right": 1, "good": 0}.get(vote)
    unranked = vote in ("tie", "both_bad")
    scored = [{**entry, "score": int(i == best)} for i, entry in enumerate(shown)]
    return {
        "id": uuid4().hex,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "vote": vote,
        "prompt": as_chat(prompt),
        "responses": [] if unranked else scored,
        "unranked": shown if unranked else [],
        "left": shown[0]["author"],
        "generation": asdict(answers[0].voice.settings),
        "base_models": {answer.voice.label: answer.voice.base for answer in answers},
    }


def check_writable(path: Path) -> None:
    """Create the file and its folder where they are missing. Errors: a place that cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab"):
            pass
    except OSError as error:
        raise UserError(f"`votes={path}` cannot be written ({error.strerror}). Choose another file.") from None
    if path.suffix != ".jsonl":
        raise UserError(f"`votes` must end with .jsonl, got {str(path)!r}.")


def append_vote(path: Path, row: dict[str, Any]) -> None:
    """Add one whole line, whoever else writes: one write at the end of the file, under a lock, and on the disk.

    A line that a crash left without its end is closed first, so that it spoils no other.
    """
    line = (json.dumps(row, ensure_ascii=False) + "\n").encode()
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            line = b"\n" + line
        if os.write(handle, line) != len(line):
            os.ftruncate(handle, size)
            raise OSError(f"{path}: the disk took only a part of a vote; it was taken back")
        os.fsync(handle)
    finally:
        os.close(handle)  # and with it the lock
