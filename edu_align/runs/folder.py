"""One run's folder: the resolved config, what happened, and what came out.

outputs/runs/<name>/
  config.yaml    the resolved config
  run.json       id, state (running, finished, failed, interrupted), metrics, throughput, versions, fingerprints, seed,
                 error, and `attempts`: what became of those before
  metrics.jsonl  one line a logging step
  samples.jsonl  replies before, during and after training
  split.json     which record went into which split
  adapter/ (or model/ for full fine-tuning), README.md (the model card)
  checkpoints/   while it is not finished: what another attempt goes on from (progress.py)
  .lock.<n>      who works in it (lock.py)
"""

import json
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edu_align.errors import UserError
from edu_align.runs.store import list_runs
from edu_align.runs.writing import write_json

ID_PREFIX = re.compile(r"[0-9a-f]{3,12}")


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
        if not self.writes:
            return
        with (self.path / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The lines of a .jsonl file of the run; none where it has no such file."""
        file = self.path / name
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        return [json.loads(line) for line in lines]


def read_record(path: Path) -> dict[str, Any] | None:
    """What run.json in the folder `path` says; None where there is none."""
    file = path / "run.json"
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise UserError(f"{file} cannot be read ({error}). Restore that file, or move the folder away.") from None
    return record


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
    """What run.json says in each of these folders."""
    return [json.loads((run / "run.json").read_text(encoding="utf-8")) for run in runs]
