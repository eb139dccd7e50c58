"""Files that are whole or not there, and what is said where the disk takes none.

A text is written aside, synced and renamed; so is a folder of weights, whose writers (safetensors, PEFT, transformers)
give it its last name at once otherwise. A process that dies on the way leaves what it wrote aside, which the next
attempt removes.
"""

import contextlib
import errno
import fcntl
import glob
import json
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edu_align.utils.errors import UserError, folder_gone

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # no room
REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}  # no writing here
MOST_BYTES = 240  # of a folder's name: file systems take 255, and attempts add a number
RUST = r"\(os error (\d+)\)"  # how safetensors and tokenizers tell what the system said
SHORT = r"\d+ requested and \d+ written"  # numpy.ndarray.tofile on a full disk
TORCH = r"(?s)PytorchStreamWriter failed writing file .*file write failed"
_LEFT = r"\.(?!lock\.).+\.\d+"


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
    _remove_abandoned(path)
    shutil.rmtree(aside, ignore_errors=True)
    handle = None
    try:
        aside.mkdir(parents=True)
        handle = hold(aside)
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
    finally:
        if handle is not None:
            os.close(handle)
    sync(path.parent)
    shutil.rmtree(older, ignore_errors=True)


def hold(path: Path) -> int | None:
    """A lock on `path` that ends with this process, as a descriptor; None where the file system has none."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _remove_abandoned(path: Path) -> None:
    """Remove what processes that died were writing to become the folder `path`, and put back the one before it, where
    they died between giving that another name and giving theirs its own.
    """
    for each in path.parent.glob(f".{glob.escape(path.name)}.*"):
        if not re.fullmatch(r"(older\.)?\d+", each.name[len(path.name) + 2 :]) or not each.is_dir():
            continue
        if ".older." in each.name[len(path.name) :] and not path.exists():
            each.rename(path)
        else:
            remove_abandoned(each)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """`hold` while the block runs."""
    handle = hold(path)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def remove_abandoned(path: Path) -> None:
    """Remove a file or folder that its writer had not given its name yet, unless that one lives: it holds the lock."""
    with contextlib.suppress(FileNotFoundError):
        handle = hold(path)
        if handle is None:
            return
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        os.close(handle)


def sync(path: Path) -> None:
    """Wait until the disk has the file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_left_over(folder: Path, since: float = 0.0) -> None:
    """Remove what a process that died had not given its name yet. Only for who works in the folder alone.

    Others may where what lies there for less than `since` seconds is let be.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        if not re.fullmatch(_LEFT, path.name) or (since and time.time() - path.stat().st_mtime < since):
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
        return _wrong_place(error)
    there, key = ("", "") if root is None else (" there", f"`outputs_root={root}`: ")
    return UserError(
        f"{key}nothing more can be written{there} ({said}). {_way_out(error, root)} Then give the same command again: "
        "it goes on from what it has kept."
    )


def _wrong_place(error: BaseException) -> UserError | None:
    """An error for the user where something on a path is no folder, or a folder was removed under the command."""
    number, name = getattr(error, "errno", None), getattr(error, "filename", None)
    if not isinstance(error, OSError) or not isinstance(name, str | bytes | os.PathLike):
        return None
    if number == errno.ENOENT and (gone := folder_gone()):
        return gone
    path = Path(os.fsdecode(name))
    blocked = _blocked(path)
    if number in (errno.EEXIST, errno.ENOTDIR, errno.ENOENT) and blocked is not None:
        what = "is a link that leads nowhere" if blocked.is_symlink() else "is no folder"
        return UserError(f"{path} cannot be made: {blocked} {what}. Remove it, or name another folder.")
    if number in (errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR):
        return UserError(f"{_shortened(str(path))} cannot be used ({os.strerror(number)}). Name another place.")
    if number == errno.ENOENT and not path.parent.exists():
        removed = next(each for each in path.parents if each.parent.exists())
        return UserError(f"{removed} is gone: it was removed while this command worked in it. Give the command again.")
    return None


def folder_problem(key: str, path: Path) -> str | None:
    """Why `path`, which `key` names, cannot be a folder: something else is there or above it; None where it can."""
    given = f"`{key}={_shortened(str(path))}`"
    if "\0" in str(path) or any(len(os.fsencode(part)) > 255 for part in path.parts):
        return f"{given} cannot be the name of a folder: it is too long, or holds a NUL. Name another one."
    blocked = _blocked(path)
    if blocked is None:
        return None
    what = "a link that leads nowhere" if blocked.is_symlink() else "no folder"
    return f"{given} must be a folder, and {blocked} is {what}. Remove it, or set another folder."


def check_folder(key: str, path: Path) -> None:
    """Errors: see `folder_problem`."""
    if problem := folder_problem(key, path):
        raise UserError(problem)


def _blocked(path: Path) -> Path | None:
    """The first part of `path` that nothing can lie in: a file, a device, a link that leads nowhere."""
    parts = (*reversed(path.parents), path)
    return next((each for each in parts if os.path.lexists(each) and not os.path.isdir(each)), None)


def name_problem(key: str, name: str) -> str | None:
    """What is wrong with a name that one folder is to have, as a message that names `key`; None where nothing is."""
    given = f"`{key}={_shortened(name)}`"
    if not name.strip() or name in (".", ".."):
        return f"{given} names no folder. Give a name such as my_run, or leave {key} out."
    if "/" in name or os.sep in name:
        return f"{given} is a path, and a name is one folder. Give a name without `/`; outputs_root says where it lies."
    if not name.isprintable():
        return f"{given} holds a sign that cannot be printed (a new line, a NUL). Leave it out of the name."
    if (taken := len(name.encode("utf-8", "surrogatepass"))) > MOST_BYTES:
        return f"{given} takes {taken} bytes, and the name of a folder takes at most {MOST_BYTES}. Give a shorter name."
    return None


def _shortened(text: str) -> str:
    text = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
    return text if len(text) <= 120 else f"{text[:100]} ... ({len(text)} characters)"


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
    return shutil.disk_usage(_folder_there(root)).free


def _folder_there(path: Path) -> Path:
    """`path` where it is a folder, else the nearest one above it that is there."""
    place = path.absolute()
    return next(each for each in (place, *place.parents) if os.path.isdir(each))


def _number(error: BaseException) -> int | None:
    """What the system said (errno), where `error` tells it: Rust and C++ do in their text, and NumPy says the count."""
    if isinstance(error, OSError):
        return errno.ENOSPC if error.errno is None and re.search(SHORT, str(error)) else error.errno
    found = re.search(RUST, str(error)) if type(error).__name__ in ("SafetensorError", "Exception") else None
    if type(error).__name__ == "RuntimeError" and re.search(TORCH, str(error)):
        return errno.ENOSPC
    return int(found[1]) if found else None


def _way_out(error: BaseException, root: Path | None) -> str:
    if _number(error) not in FULL:
        return "Make it readable and writable, or name another folder."
    if root is None:
        place = _fullest(error)
        return f"Make room there ({free_bytes(place) / 2**20:.1f} MiB are free in {place})."
    free = free_bytes(root) / 2**20
    return f"Make room there ({free:.1f} MiB are free; `python -m edu_align.plan` says what a run takes)."


def _fullest(error: BaseException) -> Path:
    """The folder with the least room of those that a command writes to: a full disk is reported without its name."""
    import tempfile

    name = getattr(error, "filename", None)
    if isinstance(name, str | bytes | os.PathLike):
        return _folder_there(Path(os.fsdecode(name)))
    words = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    named = [words[key] for key in ("output", "votes") if key in words] + [words.get("outputs_root", "outputs")]
    return min((_folder_there(Path(each).expanduser()) for each in (*named, tempfile.gettempdir())), key=free_bytes)
