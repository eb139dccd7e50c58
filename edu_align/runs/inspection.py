"""What lies under outputs/, looked over byte by byte: whole, damaged, unreadable or left over. Nothing is changed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.runs.folder import UNREADABLE, check_fields, list_runs
from edu_align.runs.seal import RECORD, differences
from edu_align.utils.errors import UserError

WHOLE, DAMAGED, UNSEALED, LEFT = "whole", "damaged", "not sealed", "left over"


@dataclass(frozen=True)
class Inspected:
    """One thing under outputs/; `free`: bytes that its removal would free where nothing needs it."""

    what: str
    state: str
    why: str = ""
    todo: str = ""
    free: int = 0

    @property
    def is_bad(self) -> bool:
        return self.state in (DAMAGED, UNREADABLE)


def inspect(outputs: Path) -> list[Inspected]:
    """Every run, its export in its own folder and its checkpoints."""
    found: list[Inspected] = []
    for run in list_runs(outputs):
        found.append(_run(run.path, run.record, run.state))
        if (run.path / "export" / RECORD).is_file():
            found.append(_export(run.path / "export"))
        checkpoints = run.path / "checkpoints"
        if run.state == "finished" and checkpoints.is_dir():
            found.append(
                Inspected(str(checkpoints), LEFT, "its run is finished", f"rm -r {checkpoints}", _size(checkpoints))
            )
    return found


def _run(folder: Path, record: dict[str, Any], state: str) -> Inspected:
    what = str(folder)
    if state != "finished":
        todo = "restore run.json, or move the folder away" if state == UNREADABLE else ""
        return Inspected(what, state, "run.json holds no JSON object" if todo else "", todo)
    try:
        check_fields(folder, record)
    except UserError as error:
        return Inspected(what, UNREADABLE, str(error), "restore run.json, or move the folder away")
    return _compared(folder, record, "its command with force=true")


def _export(folder: Path) -> Inspected:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if not isinstance(record, dict) or not isinstance(record.get("files", {}), dict):
            raise ValueError("it is no export's record")
    except (OSError, ValueError) as error:
        return Inspected(str(folder), UNREADABLE, f"{RECORD}: {error}", "move it away and export again")
    return _compared(folder, record, f"python -m edu_align.export run={folder.parent}")


def _compared(folder: Path, record: dict[str, Any], todo: str) -> Inspected:
    if "files" not in record:
        return Inspected(str(folder), UNSEALED, "made before files were sealed")
    found = differences(folder, record["files"], None)
    return Inspected(str(folder), DAMAGED, "; ".join(found), todo) if found else Inspected(str(folder), WHOLE)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in _files(folder))


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.is_file())
