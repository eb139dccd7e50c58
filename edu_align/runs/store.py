"""Every run under outputs_root, in one pass: a folder listing and one run.json each, no index that could be stale."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.errors import UserError
from edu_align.utils.suggest import did_you_mean

UNREADABLE = "unreadable"  # the state of a run whose run.json is no JSON object
LEAST_PREFIX = 3  # hex digits of an id that may stand for it


@dataclass(frozen=True)
class StoredRun:
    """A run's folder and what its run.json says; `record` is empty where that cannot be read."""

    path: Path
    record: dict[str, Any]

    @property
    def id(self) -> str | None:
        return self.record.get("id")

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def state(self) -> str:
        return str(self.record.get("state", UNREADABLE))

    @property
    def started(self) -> str:
        """ISO time with its zone's offset, or an empty text."""
        return str(self.record.get("started") or "")

    @property
    def seconds(self) -> float | None:
        value = self.record.get("seconds")
        return float(value) if isinstance(value, int | float) else None

    @property
    def metrics(self) -> dict[str, float]:
        return self.record.get("metrics") or {}


def list_runs(outputs: Path) -> list[StoredRun]:
    """The runs of `outputs`/runs in any state, the newest first; empty where there is none.

    A folder without run.json is no run. Memory: the records of all runs, about 10 KiB each.
    """
    try:
        with os.scandir(outputs / "runs") as entries:
            names = [entry.name for entry in entries]
    except FileNotFoundError:
        return []
    runs = outputs / "runs"
    found = [run for name in names if (run := read_stored(runs / name)) is not None]
    return sorted(found, key=lambda run: (run.started, run.name), reverse=True)


def read_stored(folder: Path) -> StoredRun | None:
    """The run in `folder`; None where it has no run.json (a file, a run that is being made, a run that is gone)."""
    try:
        with open(f"{folder}/run.json", "rb") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        record = json.loads(text)
    except ValueError:
        record = None
    return StoredRun(folder, record if isinstance(record, dict) else {})


def find_stored(key: str, words: Sequence[str], outputs: Path) -> list[StoredRun]:
    """The run, in any state, that each word names: a folder, a name under `outputs`/runs, an id or the start of one.

    Errors name `key`: a word that names no run, with the nearest name, and one that begins several ids.
    """
    every: list[StoredRun] | None = None
    found = []
    for word in words:
        run = read_stored(Path(word)) or read_stored(outputs / "runs" / word)
        if run is None:
            every = list_runs(outputs) if every is None else every
            run = _by_id(key, word, every, outputs)
        found.append(run)
    return found


def _by_id(key: str, word: str, runs: list[StoredRun], outputs: Path) -> StoredRun:
    same = [run for run in runs if run.id == word]
    begun = [run for run in runs if len(word) >= LEAST_PREFIX and (run.id or "").startswith(word)]
    for found in (same, begun):
        if len({run.id for run in found}) == 1:
            return found[0]
    if begun:
        raise UserError(
            f"`{key}`: {word} begins the ids of {len(begun)} runs ({', '.join(run.name for run in begun[:3])} ...). "
            "Give more of it, or the run's name."
        )
    hint = did_you_mean(word, [run.name for run in runs])
    known = f" Newest runs there: {', '.join(run.name for run in runs[:5])}." if runs else " There is no run yet."
    raise UserError(f"`{key}`: no folder, name under {outputs / 'runs'} or id is {word!r}.{hint}{known}")
