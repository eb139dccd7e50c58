"""One run's folder: the resolved config, what happened, and what came out; and every run under outputs_root.

outputs/runs/<name>/
  config.yaml    the resolved config
  run.json       id, state (running, finished, failed, interrupted), metrics, throughput, versions, fingerprints, seed,
                 error, and `attempts`: what became of those before
  metrics.jsonl  one line a logging step
  samples.jsonl  replies before, during and after training
  split.json     which record went into which split
  log.txt        what was printed while it was made
  adapter/ (or model/ for full fine-tuning), README.md (the model card)
  checkpoints/   while it is not finished: what another attempt goes on from (checkpoints.py)
  .lock.<n>      who works in it (lock.py)

Runs are found by listing the folder and reading one run.json each: there is no index that could be stale.
"""

import errno
import json
import os
import re
import stat
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.runs.seal import check_run, is_seal
from edu_align.utils.errors import UserError
from edu_align.utils.files import write_json
from edu_align.utils.hashing import records_in
from edu_align.utils.jsonl import append_row, read_rows
from edu_align.utils.words import did_you_mean

ID_PREFIX = re.compile(r"[0-9a-f]{3,12}")
MOST_BYTES = 64 << 20  # of a run.json, which takes some 10 KiB
UNREADABLE = "unreadable"  # the state of a run whose run.json is no JSON object
DAMAGED = "damaged"  # of a finished run whose files are not what training left
FIELDS = {  # what a finished run's run.json has, whoever reads it
    "model": str, "base_model": str, "adapter": str, "trainer": str, "metrics": dict, "data": dict, "started": str,
}  # fmt: skip
OPTIONAL = {  # what it may have, or have as null: none of it is in those of older versions
    "id": str, "parent": str, "init_from": str, "seconds": int | float, "attempts": list, "text": dict,
    "versions": dict, "git": dict, "template_date": str, "undated_id": str,
    "choice": dict,
}  # fmt: skip
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

    @property
    def weights(self) -> Path:
        """Where what a finished run trained lies: an adapter, or a whole model."""
        return self.path / ("model" if self.record.get("adapter") == "full" else "adapter")

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
        value = self.record.get("id")
        return value if isinstance(value, str) else None

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
        value = self.record.get("metrics")
        return value if isinstance(value, dict) else {}


def read_record(path: Path) -> dict[str, Any] | None:
    """What run.json in the folder `path` says; None where there is none. Errors: a file that is no JSON object."""
    try:
        return _read(path)
    except (ValueError, OSError, RecursionError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"{path / 'run.json'} cannot be read ({said}). Restore that file, or move the folder away."
        ) from None


def check_fields(folder: Path, record: dict[str, Any], complete: bool = True) -> None:
    """Raise UserError where run.json of a finished run lacks what every reader needs, or has it in another type.

    Not `complete`: what is there has to be of its type, and its start be there, as for a table of runs of any age.
    """
    needed = FIELDS if complete else {name: FIELDS[name] for name in FIELDS if name in record or name == "started"}
    wrong = [name for name, kind in needed.items() if not _is(record.get(name), kind)]
    wrong += [name for name, kind in OPTIONAL.items() if not _is(record.get(name), kind | None)]
    wrong += ["files"] if not is_seal(record.get("files", {})) else []
    if wrong:
        raise UserError(
            f"{folder / 'run.json'} is damaged: {', '.join(wrong)} missing or of another type. Restore that file, or "
            "move the folder away and train again."
        )


def _is(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def read_stored(folder: Path) -> StoredRun | None:
    """The run in `folder`; None where it has no run.json (a file, a run that is being made, a run that is gone)."""
    try:
        record = _read(folder)
    except (ValueError, OSError, RecursionError):  # a broken file, or one that this user may not read
        return StoredRun(folder, {})
    return None if record is None else StoredRun(folder, record)


def _read(folder: Path) -> dict[str, Any] | None:
    name = f"{folder}/run.json"
    try:
        facts = os.stat(name)
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(name) or (os.path.islink(folder) and not os.path.exists(folder)):
            raise ValueError("it is a link that leads nowhere") from None
        return None
    if not stat.S_ISREG(facts.st_mode):  # opening a pipe would wait for ever
        raise ValueError("it is no file")
    if facts.st_size > MOST_BYTES:
        raise ValueError(f"it has {facts.st_size} bytes, and no run writes that many")
    try:
        with open(name, "rb") as file:
            record = json.loads(file.read())
    except FileNotFoundError:
        return None
    if not isinstance(record, dict):
        raise ValueError("it holds no JSON object")
    if not isinstance(record.get("state"), str):
        raise ValueError("it says no state")
    return record


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


def find_run(key: str, value: str, root: Path, accept: bool = False) -> RunFolder:
    """The finished run that `value` names: a folder, a name under root/runs, or an id or the start of one.

    Of several attempts with one id it is the newest finished one. Errors name `key` and the ways out.
    Files that are not what training left are an error, unless `accept`.
    """
    candidates = [Path(value), root / "runs" / value]
    for path in candidates:
        record = _record_at(path)
        if record is not None:
            return _finished(key, value, RunFolder(path, record), root, accept)
    stored = list_runs(root) if ID_PREFIX.fullmatch(value) else []
    folders = [RunFolder(run.path, run.record) for run in stored]
    matching = [folder for folder in folders if str(folder.record.get("id", "")).startswith(value)]
    ids = sorted({str(folder.record["id"]) for folder in matching})
    if len(ids) > 1:
        raise UserError(f"`{key}={value}`: {len(ids)} runs have ids that start so: {', '.join(ids)}. Give more digits.")
    if matching:
        done = [folder for folder in matching if folder.record.get("state") == "finished"]
        return _finished(key, value, max(done or matching, key=_age), root, accept)
    known = [run.name for run in reversed(list_runs(root)[:5])]
    hint = f" Newest runs there: {', '.join(known)}." if known else " There is no run yet."
    if os.path.isfile(candidates[0] / "adapter_config.json"):  # False for what is no path at all
        hint = " It holds an adapter alone: init_from trains on from it, and evaluate measures it as adapter=<folder>."
    raise UserError(
        f"`{key}={value}`: no run.json in {candidates[0]} nor in {candidates[1]}, and no run with that id.{hint}"
    )


def _record_at(path: Path) -> dict[str, Any] | None:
    """`read_record` of a path that may be none at all: a word of 300 letters names no folder."""
    try:
        os.stat(path)
    except ValueError:
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
    return read_record(path)


def _age(folder: RunFolder) -> tuple[str, int, str]:
    """A key that sorts runs from the oldest to the newest: their start, to the second; `<name>-10` after `<name>-9`."""
    return str(folder.record.get("started")), len(folder.path.name), folder.path.name


def _finished(key: str, value: str, folder: RunFolder, root: Path, accept: bool) -> RunFolder:
    state = folder.record.get("state")
    if state != "finished":
        raise UserError(
            f"`{key}={value}`: that run is {state!r}, not finished. Finish it first: give its command again."
        )
    check_fields(folder.path, folder.record)
    check_run(f"`{key}={value}`", folder.path, folder.record, records_in(root), accept, starts=key == "init_from")
    return folder


def problem_of(run: StoredRun, outputs: Path, accept: bool = False) -> str | None:
    """Why a stored run cannot be believed: its run.json cannot be read, or what it left was changed; else None."""
    try:
        record = read_record(run.path)
        if record is not None and record["state"] == "finished":
            check_fields(run.path, record, complete=False)
            check_run(f"run {run.name}", run.path, record, records_in(outputs), accept)
    except UserError as error:
        return str(error)
    return None


def whole_runs(key: str, runs: Sequence[StoredRun], outputs: Path, accept: bool) -> list[StoredRun]:
    """The `runs` that can be believed; of the others it is said why they are left out. Errors: none remains."""
    problems = {run.path: problem_of(run, outputs, accept) for run in runs}
    damaged = [problem for problem in problems.values() if problem is not None]
    if len(damaged) == len(runs):
        raise UserError(f"`{key}`: {' '.join(damaged)}")
    for problem in damaged:
        print(f"edu_align: left out: {problem}", file=sys.stderr, flush=True)
    return [run for run in runs if problems[run.path] is None]


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
        check_fields(path, record)
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
    """Does nothing with either; a subclass does. `objective`: what runs are compared by, where that is known."""

    objective: str | None = None

    def run_started(self, folder: RunFolder) -> None:
        """The run that is made, or that was found finished, as soon as its folder is known."""

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Measured after `step` optimizer steps, named as in W&B. What it raises ends the run."""


NO_LISTENER = RunListener()
