"""SHA-256 over texts, JSON values and files: what ids, keys of the cache and checks of files are made of.

A file is known by all its bytes. They are read once, in as many threads as there are processors, and what was found is
remembered: in this process, and in a small file under the folder `records` (see `records_in`). A record counts while
path, size, times of change (to the nanosecond) and inode are what they were, and only of a file that had been left
alone for a while before it was read: within a tick of the disk's clock a second write would show in none of these. A
record that is damaged, or that the disk does not take, costs time alone.
"""

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DIGITS = 32
BLOCK = 1 << 18  # bytes of a file that are read at once: they stay in the processor's own memory
CHUNK = 1 << 26  # bytes that one thread hashes of a file that several share
SMALL = 1 << 22  # bytes that are sooner hashed than a thread is started
TICK = 2 * 10**9  # nanoseconds: no disk's clock is coarser

_known: dict[str, str] = {}  # what this process has found, by state of the file


def forget() -> None:
    """Let go of what this process has found; records stay."""
    _known.clear()


def sha256(content: str | bytes) -> str:
    """64 hex digits; a text counts as UTF-8."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def digest(*parts: Any) -> str:
    """32 hex digits over JSON values, equal for equal values."""
    return sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":")))[:DIGITS]


def records_in(outputs_root: str | Path) -> Path:
    """Where the digests of files are remembered by what is done under `outputs_root`."""
    return Path(outputs_root) / "cache" / "files"


def file_sha256(file: Path) -> str:
    """64 hex digits over what a file holds, read now. Memory: a block, whatever its size."""
    return _part_sha256(file, 0, None)


def file_digest(file: Path, records: Path | None) -> str:
    """`file_sha256` (what `sha256sum` prints), read once and then looked up under `records`, where there is one."""
    return _digests([file], records, None)[0]


def file_digests(files: Sequence[Path], records: Path | None) -> dict[Path, str]:
    """`file_digest` of each, several at once."""
    return dict(zip(files, _digests(files, records, None), strict=True))


def files_digest(files: Sequence[Path], records: Path | None) -> str:
    """32 hex digits over what files are called and hold, in any order: what a model's or a tokenizer's folder is.

    A large file is hashed in chunks, by all processors together. Of one of at most `CHUNK` bytes it is `file_digest`.
    """
    found = _digests(files, records, CHUNK)
    return digest(sorted([file.name, one] for file, one in zip(files, found, strict=True)))


def file_state(file: Path) -> list[Any]:
    """What changes when a file is written: the real path, size, times of change, inode."""
    real = file.resolve()
    facts = real.stat()
    return [str(real), facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino]


def _digests(files: Sequence[Path], records: Path | None, chunk: int | None) -> list[str]:
    """One for each file, remembered or read now, each file cut into chunks where `chunk` says so."""
    began = time.time_ns()
    states = [file_state(file) for file in files]
    chunks = [chunk if chunk is not None and state[1] > chunk else None for state in states]
    found = [_remembered(state, each, records) for state, each in zip(states, chunks, strict=True)]
    new = [i for i, one in enumerate(found) if one is None]
    read = _read([(files[i], states[i][1], chunks[i]) for i in new])
    for i, one in zip(new, read, strict=True):
        found[i] = one
        if states[i][3] < began - TICK and file_state(files[i]) == states[i]:
            _remember(states[i], chunks[i], one, records)
    return [one for one in found if one is not None]


def _read(files: Sequence[tuple[Path, int, int | None]]) -> list[str]:
    """The digest of each (file, size, chunk), their parts in threads where there is enough to do."""
    parts = [(file, start, chunk) for file, size, chunk in files for start in range(0, max(size, 1), chunk or size + 1)]
    if len(parts) < 2 or sum(size for _, size, _ in files) < SMALL:
        hashed = iter([_part_sha256(*part) for part in parts])
    else:
        hashed = iter(_in_threads(parts))
    found = []
    for _, size, chunk in files:
        own = [next(hashed) for _ in range(0, max(size, 1), chunk or size + 1)]
        found.append(own[0] if chunk is None else sha256("\n".join(own)))
    return found


def _in_threads(parts: Sequence[tuple[Path, int, int | None]]) -> list[str]:
    """`_part_sha256` of each; an error or Ctrl-C leaves what has not begun."""
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    try:
        return [job.result() for job in [pool.submit(_part_sha256, *part) for part in parts]]
    finally:
        pool.shutdown(cancel_futures=True)


def _part_sha256(file: Path, start: int, length: int | None) -> str:
    """64 hex digits over `length` bytes from `start`, or over the rest of the file."""
    found, block = hashlib.sha256(), memoryview(bytearray(BLOCK))
    with file.open("rb", buffering=0) as content:
        content.seek(start)
        while length is None or length > 0:
            count = content.readinto(block if length is None else block[:length])
            if not count:
                break
            found.update(block[:count])
            length = None if length is None else length - count
    return found.hexdigest()


def _key(state: list[Any], chunk: int | None) -> str:
    return digest(state[0], chunk)


def _remembered(state: list[Any], chunk: int | None, records: Path | None) -> str | None:
    """What was found for a file in this state; None where nothing was, or where the record is damaged."""
    if known := _known.get(digest(state, chunk)):
        return known
    if records is None:
        return None
    try:
        record = json.loads((records / f"{_key(state, chunk)}.json").read_bytes())
        whole = record["check"] == digest(state, record["digest"])
        return str(record["digest"]) if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(state: list[Any], chunk: int | None, found: str, records: Path | None) -> None:
    _known[digest(state, chunk)] = found
    if records is None:
        return
    record = records / f"{_key(state, chunk)}.json"
    aside = record.with_name(f".{record.name}.{os.getpid()}.{threading.get_ident()}")
    content = json.dumps({"file": state[0], "digest": found, "check": digest(state, found)})
    with contextlib.suppress(OSError):
        records.mkdir(parents=True, exist_ok=True)
        try:
            aside.write_text(content, encoding="utf-8")
            aside.replace(record)
        finally:
            aside.unlink(missing_ok=True)
