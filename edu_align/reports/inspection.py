"""What lies under outputs/, looked over byte by byte: whole, damaged, unreadable or left over. Nothing is changed."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.cache.store import CHECKSUM
from edu_align.models.content import SEAL
from edu_align.runs.checkpoints import checkpoints, damage_of
from edu_align.runs.folder import UNREADABLE, StoredRun, check_fields, read_stored
from edu_align.runs.lock import PREFIX, holder
from edu_align.runs.seal import RECORD, differences, read_export
from edu_align.utils.errors import UserError
from edu_align.utils.files import read_json
from edu_align.utils.hashing import file_sha256

WHOLE, DAMAGED, UNSEALED, LEFT = "whole", "damaged", "not sealed", "left over"
ASIDE = re.compile(r"\.(?!lock\.).+?\.(\d+)(?:\.\d+)?|\.(\d+)\.lock\.\d+")  # written aside by the process of that id
PASSING = re.compile(r"\.dequantized-.+|\.[0-9a-f]{32}\.aside")  # written aside by nobody knows whom
SETTLED_SECONDS = 24 * 3600  # after which that counts as left


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


def inspect(outputs: Path, now: float) -> Iterator[Inspected]:
    """Every run with its exports and checkpoints, every sweep, the cache, and what dead processes left.

    `now`: seconds since 1970, by which the age of what has no owner's name is told.
    """
    for folder in _folders(outputs / "runs"):
        run = read_stored(folder)
        yield from _half_made(folder) if run is None else _run(run)
    for folder in _folders(outputs / "sweeps"):
        yield _sweep(folder)
    for folder in _folders(outputs / "cache" / "models"):
        yield _model(folder)
    yield from _shared(outputs / "cache" / "shared")
    for path in sorted(outputs.rglob(".*")):
        if _is_left(path, now):
            yield Inspected(str(path), LEFT, "by a process that is gone", f"rm -r {path}", size_of(path))


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def _folders(place: Path) -> list[Path]:
    found = place.iterdir() if place.is_dir() else ()
    return sorted(path for path in found if path.is_dir() and not path.name.startswith("."))


def _half_made(folder: Path) -> Iterator[Inspected]:
    """A folder under runs/ without run.json: one that is begun at this moment, or what is left of one."""
    if holder(folder) is not None:
        yield Inspected(str(folder), "running", "it is begun at this moment")
    elif all(path.name.startswith(PREFIX) for path in folder.iterdir()):
        yield Inspected(str(folder), LEFT, "no run was begun in it", f"rm -r {folder}", size_of(folder))
    else:
        yield Inspected(str(folder), UNREADABLE, "run.json is gone", f"put it back, or move {folder} away")


def _run(run: StoredRun) -> Iterator[Inspected]:
    yield _record(run)
    for file in sorted(run.path.glob(f"*/{RECORD}")):
        yield _export(file.parent)
    place = run.path / "checkpoints"
    if run.state == "finished" and place.is_dir():
        yield Inspected(str(place), LEFT, "its run is finished", f"rm -r {place}", size_of(place))
    elif run.state != "finished" and holder(run.path) is None:
        for _, path in sorted(checkpoints(place).items()):
            damage = damage_of(path)
            todo = f"nothing: it is skipped; rm -r {path}" if damage else ""
            yield Inspected(str(path), DAMAGED if damage else WHOLE, damage, todo)


def _record(run: StoredRun) -> Inspected:
    what, restore = str(run.path), f"put run.json back, or move {run.path} away"
    if run.state == UNREADABLE:
        return Inspected(what, UNREADABLE, "run.json is no record of a run", restore)
    if run.state == "running" and holder(run.path) is None:
        return Inspected(what, "killed", "no process works on it", "its command goes on with it")
    if run.state != "finished":
        return Inspected(what, run.state, "", "" if run.state == "running" else "its command goes on with it")
    try:
        check_fields(run.path, run.record)
    except UserError as error:
        return Inspected(what, UNREADABLE, str(error).partition(". ")[0], restore)
    return _compared(run.path, run.record, "its command with force=true")


def _export(folder: Path) -> Inspected:
    again = f"python -m edu_align.export run={folder.parent} export.overwrite=true"
    try:
        record = read_export(folder)
    except UserError as error:
        return Inspected(str(folder), UNREADABLE, str(error).partition(". ")[0], again)
    return _compared(folder, record, again)


def _compared(folder: Path, record: dict[str, Any], todo: str) -> Inspected:
    if "files" not in record:
        return Inspected(str(folder), UNSEALED, "made before files were sealed")
    found = differences(folder, record["files"], None)
    return Inspected(str(folder), DAMAGED, "; ".join(found), todo) if found else Inspected(str(folder), WHOLE)


def _sweep(folder: Path) -> Inspected:
    """A sweep: whether its record and those of its jobs can be read, and whether the jobs' runs are there."""
    what = str(folder)
    files = [folder / "sweep.json", *sorted((folder / "jobs").glob("[0-9]*.json"))]
    records = {file: read_json(file) for file in files}
    broken = [str(file.relative_to(folder)) for file, record in records.items() if record is None]
    if broken:
        why = f"{', '.join(broken)} cannot be read"
        return Inspected(what, DAMAGED, why, "remove the file of a job, and its command makes that job again")
    named = [record["run"] for record in records.values() if record and isinstance(record.get("run"), str)]
    gone = [name for name in named if not (folder.parents[1] / "runs" / name).is_dir()]
    why = f"of {len(gone)} jobs the run is gone" if gone else ""
    return Inspected(what, WHOLE, why, "its command makes them again" if gone else "")


def _model(folder: Path) -> Inspected:
    """A dequantized base. It is made again by whoever needs it next, so that a damaged one may go."""
    sealed = read_json(folder / SEAL)
    if not sealed:
        return Inspected(str(folder), DAMAGED, f"{SEAL} cannot be read", "nothing: it is made again")
    wrong = [name for name, known in sealed.items() if _sha256_of(folder / name) != known]
    why, state = (f"{', '.join(wrong)}: not what was written", DAMAGED) if wrong else ("", WHOLE)
    return Inspected(str(folder), state, why, "nothing: it is made again" if wrong else "")


def _shared(place: Path) -> Iterator[Inspected]:
    """The cache of results; each file's name ends with the checksum of what it holds."""
    files = [file for file in sorted(place.glob("*/*")) if file.suffix in (".safetensors", ".jsonl")]
    wrong = [file for file in files if (_sha256_of(file) or "")[:CHECKSUM] != file.stem.rpartition("-")[2]]
    for file in wrong:
        yield Inspected(str(file), DAMAGED, "not what was written", f"nothing: it is computed again; rm {file}")
    if files:
        size = sum(file.stat().st_size for file in files)
        yield Inspected(str(place), WHOLE, f"{len(files) - len(wrong)} files, computed again where they go", "", size)


def _sha256_of(file: Path) -> str | None:
    try:
        return file_sha256(file)
    except OSError:
        return None


def _is_left(path: Path, now: float) -> bool:
    """Whether a process wrote this aside and is gone; without its id, whether a day has passed."""
    if PASSING.fullmatch(path.name):
        return now - path.stat().st_mtime > SETTLED_SECONDS
    found = ASIDE.fullmatch(path.name)
    return found is not None and not _lives(int(found[1] or found[2]))


def _lives(pid: int) -> bool:
    """Whether there is a process of that id: not whether it is the one that is meant."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
