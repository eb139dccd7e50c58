"""Files that are whole or not there, and what is said where the disk takes none.

A text is written aside, synced and renamed; so is a folder of weights, whose writers (safetensors, PEFT, transformers)
give it its last name at once otherwise. A process that dies on the way leaves what it wrote aside, which the next
attempt removes.
"""

import contextlib
import errno
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edu_align.utils.errors import UserError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # no room
REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}  # no writing here
RUST = re.compile(r"\(os error (\d+)\)")  # how safetensors tells what the system said
_LEFT = re.compile(r"\.(?!lock\.).+\.\d+")


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of the text in UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write aside, sync and rename: a reader finds the old file or the new one, and an error leaves the old one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """`write_text` of the value. Errors: TypeError where JSON cannot hold it; the old file stays."""
    write_text(path, json.dumps(value, indent=indent, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None where there is no file, or nothing that can be read."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write into, that gets the name `path`, in place of an older one, when the block ends.

    An error inside leaves nothing of it, and the older one as it was.
    """
    aside, older = (path.with_name(f".{name}.{os.getpid()}") for name in (path.name, f"{path.name}.older"))
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        yield aside
        for file in (each for each in aside.rglob("*") if each.is_file()):
            sync(file)
        if path.exists():
            path.rename(older)
        try:
            aside.rename(path)
        except OSError:
            if older.exists():
                older.rename(path)
            raise
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    sync(path.parent)
    shutil.rmtree(older, ignore_errors=True)


def sync(path: Path) -> None:
    """Wait until the disk has the file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_left_over(folder: Path) -> None:
    """Remove what a process that died had not given its name yet. Only for who works in the folder alone."""
    for path in folder.iterdir():
        if not _LEFT.fullmatch(path.name):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def disk_errors(root: Path) -> Iterator[None]:
    """Errors of writing below `root` as one `UserError` that says what the disk said, and what to do."""
    try:
        yield
    except Exception as error:
        told = disk_error(error, root)
        if told is None:
            raise
        raise told from error


def disk_error(error: BaseException, root: Path | None = None) -> UserError | None:
    """What the disk said, as an error for the user; None where `error` is about something else.

    `root`: the outputs_root that was written below, where it is known.
    """
    said = refusal(error, root)
    if said is None:
        return None
    there, key = ("", "") if root is None else (" there", f"`outputs_root={root}`: ")
    return UserError(
        f"{key}nothing more can be written{there} ({said}). {_way_out(error, root)} Then give the same command again: "
        "it goes on from what it has kept."
    )


def refusal(error: BaseException, root: Path | None) -> str | None:
    """What the disk under `root` said where that is what `error` is about; None for any other error.

    A full disk is reported without a file name; a refused one with it, and has to be of a file below `root`.
    """
    number, name = _number(error), getattr(error, "filename", None)
    if number not in FULL | REFUSED:
        return None
    path = None if name is None else Path(os.fsdecode(name))
    if number in REFUSED:
        elsewhere = path is None if root is None else path and not path.absolute().is_relative_to(root.absolute())
        if elsewhere:
            return None
    return os.strerror(number) + (f": {path}" if path is not None else "")


def first_value(file: Path, key: str) -> str:
    """The text behind the colon of the first line that starts with `key` (in /proc/cpuinfo, say).

    "" where there is no such line, or no such file (not Linux).
    """
    lines = file.read_text(encoding="utf-8").split("\n") if file.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def free_bytes(root: Path) -> int:
    """Room on the disk that `root` lies on, or will once it is made."""
    place = root.absolute()
    return shutil.disk_usage(next(each for each in (place, *place.parents) if each.is_dir())).free


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    found = RUST.search(str(error)) if type(error).__name__ == "SafetensorError" else None
    return int(found[1]) if found else None


def _way_out(error: BaseException, root: Path | None) -> str:
    if _number(error) not in FULL:
        return "Make it readable and writable, or name another folder."
    if root is None:
        return "Make room there."
    free = free_bytes(root) / 2**20
    return f"Make room there ({free:.1f} MiB are free; `python -m edu_align.plan` says what a run takes)."
