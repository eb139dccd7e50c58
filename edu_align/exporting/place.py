"""Where an export goes: written aside, renamed when it is whole, and never over something else."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edu_align.errors import UserError

RECORD = "export.json"


def is_there(output: Path, settings: dict[str, Any], overwrite: bool) -> bool:
    """Whether `output` holds the export that `settings` describe already. Errors: another one, without `overwrite`."""
    if not (output / RECORD).is_file():
        return False
    before = json.loads((output / RECORD).read_text(encoding="utf-8")).get("settings", {})
    others = [key for key in settings if before.get(key) != settings[key]]
    if others and not overwrite:
        changes = "; ".join(f"{key} was {before.get(key)}, now {settings[key]}" for key in others)
        raise UserError(
            f"`output={output}` holds another export: {changes}. Choose another output, or set export.overwrite=true."
        )
    return not others


def check_place(output: Path) -> None:
    """Create the folder above `output`, and a file in it for a moment.

    Errors: a place that cannot be written, or that holds something that is no export, which is never replaced.
    """
    if output.exists() and not output.is_dir():
        raise UserError(f"`output={output}` is a file. Give a folder that does not exist yet.")
    if output.is_dir() and not (output / RECORD).is_file() and any(output.iterdir()):
        raise UserError(f"`output={output}` is a folder with other things in it. Give one that does not exist yet.")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output.parent):
            pass
    except OSError as error:
        raise UserError(f"`output={output}` cannot be written ({error.strerror}). Choose another folder.") from None


@contextmanager
def written_aside(output: Path) -> Iterator[Path]:
    """An empty folder beside `output` that takes its place, and that of an older export, once the block is through.

    After an error it is removed, and `output` is what it was.
    """
    aside = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}."))
    try:
        yield aside
        _open_to_readers(aside)
        _put(aside, output)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _put(aside: Path, output: Path) -> None:
    """Rename `aside` to `output`. What stands there is moved out of the way first, and put back where that fails."""
    if not output.exists():
        aside.rename(output)
        return
    old = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}.old."))
    output.rename(old / "export")
    try:
        aside.rename(output)
    except OSError:
        (old / "export").rename(output)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _open_to_readers(folder: Path) -> None:
    """Give folders and files the rights that plain ones get: some libraries leave them to their owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    for path in (folder, *folder.rglob("*")):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)
