"""One run's folder: the resolved config, what happened, and what came out.

outputs/runs/<name>/
  config.yaml    the resolved config
  run.json       state (running, finished, failed, interrupted), metrics, throughput, versions, fingerprints, seed
  metrics.jsonl  one line a logging step
  samples.jsonl  replies before, during and after training
  split.json     which record went into which split
  adapter/ (or model/ for full fine-tuning), README.md (the model card)
"""

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edu_align.errors import UserError


def write_json(path: Path, value: Any) -> None:
    """Write aside, sync and rename, so that a reader finds the old file or the new one, never half of one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


class RunFolder:
    """Handle of a run's folder; `record` holds what run.json says.

    With several processes only the first one `writes`; the others keep their record in memory.
    """

    def __init__(self, path: Path, record: dict[str, Any], writes: bool = True) -> None:
        self.path = path
        self.record = record
        self.writes = writes

    @classmethod
    def create(cls, root: Path, name: str | None, default_name: str, record: dict[str, Any]) -> "RunFolder":
        """A new folder under `root`/runs. Errors: `run_name` is taken."""
        runs = root / "runs"
        runs.mkdir(parents=True, exist_ok=True)
        if name is not None:
            path = runs / name
            if path.exists():
                raise UserError(
                    f"`run_name={name}`: {path} exists already. Choose another name, or delete that folder."
                )
            path.mkdir(parents=True)
        else:
            path = _fresh(runs, f"{time.strftime('%Y%m%d-%H%M%S')}-{default_name}")
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


def _fresh(runs: Path, name: str) -> Path:
    for suffix in ["", *(f"-{i}" for i in range(2, 1000))]:
        path = runs / f"{name}{suffix}"
        try:
            path.mkdir()
            return path
        except FileExistsError:
            continue
    raise UserError(f"no free folder name is left for {name!r} under {runs}. Set run_name=<name>.")


def find_run(key: str, value: str, root: Path) -> RunFolder:
    """The finished run that `value` names: a folder, or a name under root/runs. Errors name `key` and the ways out."""
    candidates = [Path(value), root / "runs" / value]
    for path in candidates:
        if (path / "run.json").is_file():
            record = json.loads((path / "run.json").read_text(encoding="utf-8"))
            if record.get("state") != "finished":
                raise UserError(f"`{key}={value}`: that run is {record.get('state')!r}, not finished. Finish it first.")
            return RunFolder(path, record)
    known = sorted(p.parent.name for p in (root / "runs").glob("*/run.json"))[-5:]
    hint = f" Newest runs there: {', '.join(known)}." if known else " There is no run yet."
    raise UserError(f"`{key}={value}`: no run.json in {candidates[0]} nor in {candidates[1]}.{hint}")


def ancestors(start: RunFolder | None) -> list[Path]:
    """Folders of the run that a run starts from, of the one that that run started from, and so on."""
    found: list[Path] = []
    path = str(start.path) if start else None
    while path is not None:
        found.append(Path(path))
        path = json.loads((found[-1] / "run.json").read_text(encoding="utf-8")).get("init_from")
    return found


def records(runs: Iterable[Path]) -> list[dict[str, Any]]:
    """What run.json says in each of these folders."""
    return [json.loads((run / "run.json").read_text(encoding="utf-8")) for run in runs]
