"""The seal of a finished run or an export: size and sha256 of each file that a later command reads.

It lies in run.json (or export.json) as `files` and is written with `state: finished`, in one step. What is made later
(evaluations, exports) and what people edit (README.md) is not in it. What was made before there were seals has none.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from edu_align.utils.errors import UserError
from edu_align.utils.hashing import file_digest, file_digests

FOLDERS = ("adapter", "model")  # of a run: what was trained, with its tokenizer and chat template
WEIGHTS = tuple(f"{name}/" for name in FOLDERS)
FILES = ("config.yaml", "metrics.jsonl", "samples.jsonl", "split.json", "evaluation.json")
EDITED = "README.md"
RECORD = "export.json"
GONE, CUT, OTHER = "is gone", "has another size", "holds other bytes"


def run_files(folder: Path) -> list[Path]:
    """What of a run's folder is sealed."""
    inside = (file for part in FOLDERS for file in _below(folder / part))
    return sorted([*(folder / name for name in FILES if (folder / name).is_file()), *inside])


def export_files(folder: Path) -> list[Path]:
    """What of an export is sealed."""
    return sorted(file for file in _below(folder) if file != folder / RECORD)


def seal(folder: Path, files: list[Path]) -> dict[str, dict[str, Any]]:
    """Size and sha256 of each file, by its path in `folder`."""
    found = file_digests(files, None)
    return {file.relative_to(folder).as_posix(): {"size": file.stat().st_size, "sha256": found[file]} for file in files}


def differences(folder: Path, sealed: Mapping[str, Any], records: Path | None) -> list[str]:
    """A phrase for each file that is not what was sealed: `adapter/adapter_model.safetensors holds other bytes`.

    `records` remembers what files hold while their stat is the same; None reads every byte.
    """
    found = ((name, _difference(folder / name, entry, records)) for name, entry in sealed.items())
    return [f"{name} {why}" for name, why in found if why is not None]


def check_run(
    what: str, folder: Path, record: Mapping[str, Any], records: Path | None, accept: bool, starts: bool = False
) -> None:
    """Raise UserError where a file of a finished run is not what training left, unless that is to be accepted.

    A run that was made before files were sealed is read as it is. `starts`: another run starts from it, for which
    run.json and what was trained are enough, as on another machine: the other files may not be there.
    """
    sealed: Mapping[str, Any] = record.get("files", {})
    if starts:
        sealed = {name: sealed[name] for name in sealed if name.startswith(WEIGHTS) or (folder / name).is_file()}
    found = differences(folder, sealed, records)
    if found and not accept:
        raise UserError(
            f"{what}: {folder} is not what training left: {'; '.join(found)}. Train it again (its command with "
            "force=true), put the file back, or set accept_changed=true to take it as it is."
        )
    if found:
        _say_once(f"accepted as it is: {folder}: {'; '.join(found)}")


def read_export(folder: Path) -> dict[str, Any]:
    """What export.json in `folder` says. Errors: it is gone, or not the record of an export."""
    file = folder / RECORD
    try:
        record = json.loads(file.read_bytes())
        if not isinstance(record, dict) or not isinstance(record.get("settings", {}), dict):
            raise ValueError("it is no record of an export")
        if not is_seal(record.get("files", {})):
            raise ValueError("its `files` are no sizes and sha256")
    except (OSError, ValueError) as error:
        raise UserError(
            f"{file} cannot be read ({error}). Export again with export.overwrite=true, or move {folder} away."
        ) from None
    return record


def check_export(folder: Path, records: Path | None, accept: bool) -> None:
    """Raise UserError where a file of an export is not what was exported, unless that is to be accepted."""
    found = differences(folder, read_export(folder).get("files", {}), records)
    if found and not accept:
        raise UserError(
            f"{folder} is not what was exported: {'; '.join(found)}. Export again with export.overwrite=true, put the "
            "file back, or set accept_changed=true to take it as it is."
        )
    if found:
        _say_once(f"accepted as it is: {folder}: {'; '.join(found)}")


def is_seal(files: Any) -> bool:
    """Whether this is what `seal` returns."""
    entries = files.values() if isinstance(files, dict) else [None]
    return all(isinstance(each, dict) and {"size", "sha256"} <= each.keys() for each in entries)


@cache
def _say_once(line: str) -> None:
    print(f"edu_align: {line}", file=sys.stderr, flush=True)


def _below(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.is_file() and file.name != EDITED)


def _difference(file: Path, entry: Mapping[str, Any], records: Path | None) -> str | None:
    try:
        if not file.is_file():
            return GONE
        if file.stat().st_size != entry["size"]:
            return CUT
        return OTHER if file_digest(file, records) != entry["sha256"] else None
    except OSError as error:
        return f"cannot be read ({error.strerror})"
