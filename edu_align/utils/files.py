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
ELSEWHERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ESTALE}  # no such place, or no more
LONGEST_NAME = 200  # bytes of a folder's name; file systems take 255, and what is written aside has a longer one
RUST = re.compile(r"\(os error (\d+)\)")  # how safetensors and tokenizers tell what the system said
NUMPY = re.compile(r"\d+ requested and \d+ written")  # how its `tofile` tells of a full disk
_LEFT = re.compile(r"\.(?!lock\.).+\.\d+")


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of the text in UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write aside, sync and rename: a reader finds the old file or the new one, and an error leaves the old one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with naming(path):
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
        with naming(path):
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
def naming(path: Path) -> Iterator[None]:
    """What the disk says of writing in the block, with the name of what is written, where it names nothing itself."""
    try:
        yield
    except Exception as error:
        number = _number(error)
        if number not in FULL | REFUSED or getattr(error, "filename", None) is not None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


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
    if isinstance(error, FileNotFoundError) and _is_current_folder_gone():
        return UserError("the current folder was removed while the command worked. `cd` to one that is there.")
    said = refusal(error, root)
    if said is None:
        return None
    key = "" if root is None else f"`outputs_root={root}`: "
    if _number(error) in ELSEWHERE:
        return UserError(f"{key}a place cannot be used ({said}). {_way_out(error, root)}")
    there = "" if root is None else " there"
    return UserError(
        f"{key}nothing more can be written{there} ({said}). {_way_out(error, root)} Then give the same command again: "
        "it goes on from what it has kept."
    )


def refusal(error: BaseException, root: Path | None) -> str | None:
    """What the disk under `root` said where that is what `error` is about; None for any other error.

    A refused file has to be below `root`; of a full disk its name is left out. A file that is not there counts where
    its folder is not either.
    """
    number, name = _number(error), getattr(error, "filename", None)
    if number not in FULL | REFUSED | ELSEWHERE:
        return None
    path = None if name is None or isinstance(name, int) else Path(os.fsdecode(name))
    if number in REFUSED | ELSEWHERE:
        elsewhere = path is None if root is None else path and not path.absolute().is_relative_to(root.absolute())
        if elsewhere or (path is None and number in ELSEWHERE):
            return None
    if path is not None and number == errno.ENOENT and os.path.isdir(path.parent):
        return None
    named = path is not None and (root is None or number not in FULL)
    return os.strerror(number) + (f": {path}" if named else "")


def folder_problem(path: Path) -> str:
    """Why `path` can be no folder, as the end of a sentence about it; "" where it is one or could be made."""
    try:
        os.stat(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        return f"none ({getattr(error, 'strerror', None) or error})"
    place = next(each for each in (path, *path.absolute().parents) if os.path.lexists(each))
    if os.path.isdir(place):
        return ""
    what = "a file" if place.is_file() else "none" if place.exists() else "a link that leads nowhere"
    return what if place == path else f"below {place}, which is {what}"


def name_problem(name: str) -> str:
    """Why a folder cannot have this name, as the end of a sentence about it; "" where it can."""
    if not name or name in (".", "..") or "/" in name or not name.isprintable():
        return "must be the name of one folder (no . or .., no /, nothing that cannot be seen)"
    size = len(os.fsencode(name))
    return (
        f"must be the name of a folder: at most {LONGEST_NAME} bytes in UTF-8, not {size}"
        if size > LONGEST_NAME
        else ""
    )


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
        return errno.ENOSPC if NUMPY.fullmatch(str(error)) else error.errno
    found = RUST.search(str(error)) if type(error).__name__ in ("SafetensorError", "Exception") else None
    return int(found[1]) if found else None


def _is_current_folder_gone() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _way_out(error: BaseException, root: Path | None) -> str:
    number = _number(error)
    if number == errno.ENAMETOOLONG:
        return "Give a shorter name."
    if number in ELSEWHERE:
        return "Was a folder removed while the command worked? Give the same command again, or name another folder."
    if number not in FULL:
        return "Make it readable and writable, or name another folder."
    name = getattr(error, "filename", None)
    place = root or (None if name is None or isinstance(name, int) else Path(os.fsdecode(name)))
    if place is None:
        return "Make room there."
    plan = "" if root is None else "; `python -m edu_align.plan` says what a run takes"
    return f"Make room there ({free_bytes(place) / 2**20:.1f} MiB are free{plan})."
