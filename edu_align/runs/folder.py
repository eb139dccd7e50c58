"""One run's folder: the resolved config, what happened, and what came out; and every run under outputs_root.

outputs/runs/<name>/
  config.yaml    the resolved config
  run.json       id, state (running, finished, failed, interrupted), metrics, throughput, versions, fingerprints, seed,
                 error, and `attempts`: what became of those before
  metrics.jsonl  one line a logging step
  samples.jsonl  replies before, during and after training
  split.json     which record went into which split
  adapter/ (or model/ for full fine-tuning), README.md (the model card)
  checkpoints/   while it is not finished: what another attempt goes on from (checkpoints.py)
  .lock.<n>      who works in it (lock.py)

Runs are found by listing the folder and reading one run.json each: there is no index that could be stale.
"""

import json
import os
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.utils.errors import UserError
from edu_align.utils.files import write_json
from edu_align.utils.jsonl import append_row, read_rows
from edu_align.utils.words import did_you_mean

ID_PREFIX = re.compile(r"[0-9a-f]{3,12}")
UNREADABLE = "unreadable"  # the state of a run whose run.json is no JSON object
LEAST_PREFIX = 3  # hex digits of an id that may stand for it


class RunFolder:
    """Handle of a run's folder; `record` holds what run.json says.

    With several processes only the first one `writes`; the others keep their record in memory.
    """

    def __init__(self, path: Path, record: dict[str, Any], writes: bool = True) -> None:
        self.path = path
        self.record = record
        self.writes = writes

    @classmethod
    def create(cls, path: Path, record: dict[str, Any]) -> "RunFolder":
        """Begin a run, or an attempt to go on with one, in a folder that may be there already."""
        path.mkdir(parents=True, exist_ok=True)
        folder = cls(path, {"state": "running", "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **record})
        folder.save()
        return folder

    def save(self, **changes: Any) -> None:
        self.record.update(changes)
        if self.writes:
            write_json(self.path / "run.json", self.record)

    def append(self, name: str, row: dict[str, Any]) -> None:
        """Add one line to a .jsonl file of the run."""
        if self.writes:
            append_row(self.path / name, row)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The lines of a .jsonl file of the run, without damaged ones; none where it has no such file."""
        return read_rows(self.path / name, skip_damaged=True)


@dataclass(frozen=True)
class StoredRun:
    """A run's folder and what its run.json says, to be read only; `record` is empty where that cannot be read."""

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


def read_record(path: Path) -> dict[str, Any] | None:
    """What run.json in the folder `path` says; None where there is none. Errors: a file that is no JSON object."""
    try:
        return _read(path)
    except ValueError as error:
        file = path / "run.json"
        raise UserError(f"{file} cannot be read ({error}). Restore that file, or move the folder away.") from None


def read_stored(folder: Path) -> StoredRun | None:
    """The run in `folder`; None where it has no run.json (a file, a run that is being made, a run that is gone)."""
    try:
        record = _read(folder)
    except ValueError:
        return StoredRun(folder, {})
    return None if record is None else StoredRun(folder, record)


def _read(folder: Path) -> dict[str, Any] | None:
    try:
        with open(f"{folder}/run.json", "rb") as file:
            record = json.loads(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, RecursionError) as error:  # one may not read it, a loop of links, a folder of that name
        raise ValueError(getattr(error, "strerror", None) or error) from None
    if not isinstance(record, dict):
        raise ValueError("it holds no JSON object")
    return record


def list_runs(outputs: Path) -> list[StoredRun]:
    """The runs of `outputs`/runs in any state, the newest first; empty where there is none.

    A folder without run.json is no run. Memory: the records of all runs, about 10 KiB each.
    """
    try:
        with os.scandir(outputs / "runs") as entries:
            names = [entry.name for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []
    runs = outputs / "runs"
    found = [run for name in names if (run := read_stored(runs / name)) is not None]
    return sorted(found, key=lambda run: (run.started, run.name), reverse=True)


def find_run(key: str, value: str, root: Path) -> RunFolder:
    """The finished run that `value` names: a folder, a name under root/runs, or an id or the start of one.

    Of several attempts with one id it is the newest finished one. Errors name `key` and the ways out.
    """
    candidates = [Path(value), root / "runs" / value]
    for path in candidates:
        record = read_record(path)
        if record is not None:
            return _finished(key, value, RunFolder(path, record))
    stored = list_runs(root) if ID_PREFIX.fullmatch(value) else []
    folders = [RunFolder(run.path, run.record) for run in stored]
    matching = [folder for folder in folders if str(folder.record.get("id", "")).startswith(value)]
    ids = sorted({folder.record["id"] for folder in matching})
    if len(ids) > 1:
        raise UserError(f"`{key}={value}`: {len(ids)} runs have ids that start so: {', '.join(ids)}. Give more digits.")
    if matching:
        done = [folder for folder in matching if folder.record.get("state") == "finished"]
        return _finished(key, value, max(done or matching, key=_age))
    known = sorted((p.parent for p in (root / "runs").glob("*/run.json")), key=lambda p: p.stat().st_mtime)[-5:]
    hint = f" Newest runs there: {', '.join(p.name for p in known)}." if known else " There is no run yet."
    raise UserError(
        f"`{key}={value}`: no run.json in {candidates[0]} nor in {candidates[1]}, and no run with that id.{hint}"
    )


def _age(folder: RunFolder) -> tuple[str, int, str]:
    """A key that sorts runs from the oldest to the newest: their start, to the second; `<name>-10` after `<name>-9`."""
    return str(folder.record.get("started")), len(folder.path.name), folder.path.name


def _finished(key: str, value: str, folder: RunFolder) -> RunFolder:
    state = folder.record.get("state")
    if state != "finished":
        raise UserError(
            f"`{key}={value}`: that run is {state!r}, not finished. Finish it first: give its command again."
        )
    return folder


def ancestors(start: RunFolder | None) -> list[Path]:
    """Folders of the run that a run starts from, of the one that that run started from, and so on.

    They are followed as far as they are here: a run that was brought from another machine comes without its own start,
    and what lies at that path may be another run.
    """
    found: list[Path] = []
    path, known = (start.path, None) if start else (None, None)
    while path is not None and (record := read_record(path)) is not None:
        if known is not None and record.get("id", known) != known:
            break
        found.append(path)
        path, known = (Path(record["init_from"]) if record.get("init_from") else None), record.get("parent")
    return found


def records(runs: Iterable[Path]) -> list[dict[str, Any]]:
    """What run.json says in each of these folders, those that have one."""
    return [record for run in runs if (record := read_record(run)) is not None]


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


class RunListener:
    """Does nothing with either; a subclass does."""

    def run_started(self, folder: RunFolder) -> None:
        """The run that is made, or that was found finished, as soon as its folder is known."""

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Measured after `step` optimizer steps, named as in W&B. What it raises ends the run."""


NO_LISTENER = RunListener()
