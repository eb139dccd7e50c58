"""SHA-256 over texts, JSON values and files: what ids, keys of the cache and checks of files are made of."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

DIGITS = 32
BLOCK = 1 << 22  # bytes of a file that are read at once


def sha256(content: str | bytes) -> str:
    """64 hex digits; a text counts as UTF-8."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def digest(*parts: Any) -> str:
    """32 hex digits over JSON values, equal for equal values."""
    return sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":")))[:DIGITS]


def file_sha256(file: Path) -> str:
    """64 hex digits over what a file holds. Memory: 4 MiB, whatever its size."""
    found = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(BLOCK):
            found.update(block)
    return found.hexdigest()


def file_state(file: Path) -> list[Any]:
    """What changes when a file is written: the real path, size, times of change, inode."""
    real = file.resolve()
    facts = real.stat()
    return [str(real), facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino]


def file_content(file: Path, records: Path) -> str:
    """`file_sha256`, computed once and then looked up under `records` by `file_state`."""
    state = file_state(file)
    record = records / f"{digest(state[0])}.json"
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
        if known["state"] == state:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    found = file_sha256(file)
    records.mkdir(parents=True, exist_ok=True)
    aside = record.with_name(f".{record.name}.{os.getpid()}")
    aside.write_text(json.dumps({"state": state, "sha256": found}), encoding="utf-8")
    aside.replace(record)
    return found
