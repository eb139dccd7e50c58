"""Files that are named by what they were computed from, and found again by it.

outputs/cache/shared/<kind>/<key>-<checksum>.safetensors (or .jsonl)

`key` says what went in (see `keys`), `checksum` what came out. A file is written aside and renamed, so it is whole or
not there; one that does not match its checksum is named, dropped and computed again. Of several processes that need the
same entry at once, one computes and the others wait for it. What was not used for longest goes when the folder outgrows
its limit.
"""

import contextlib
import hashlib
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from edu_align.utils.files import held, remove_abandoned
from edu_align.utils.hashing import sha256

T = TypeVar("T")
CHECKSUM = 16  # hex digits of SHA-256 in a file's name
PATIENCE_SECONDS = 2 * 3600  # how long one process waits for another's entry before it computes its own


@dataclass(frozen=True)
class Codec(Generic[T]):
    """How a value becomes the bytes of a file and back; `decode` may raise anything on bytes that it did not write."""

    suffix: str
    encode: Callable[[T], bytes]
    decode: Callable[[bytes], T]


class Store:
    """Entries under `root`, at most `limit_gb` (10^9 bytes) together; a limit of 0 keeps and finds nothing."""

    def __init__(self, root: Path, limit_gb: float) -> None:
        self.root = root
        self.limit = int(limit_gb * 1e9)

    def get_or_compute(self, kind: str, key: str, codec: Codec[T], compute: Callable[[], T]) -> tuple[T, bool]:
        """The entry, and whether it was there; where it was not, `compute` makes it, in one process at a time."""
        return self.get_or_extend(kind, key, codec, lambda found: True, lambda found: compute())

    def get_or_extend(
        self, kind: str, key: str, codec: Codec[T], enough: Callable[[T], bool], extend: Callable[[T | None], T]
    ) -> tuple[T, bool]:
        """The entry, and whether it was there and `enough`. Where it was not, `extend` makes it, of what there is (None
        for nothing), in one process at a time; it takes the older entry's place.
        """
        if not self.limit:
            return extend(None), False
        found = self.read(kind, key, codec)
        if found is not None and enough(found):
            return found, True
        with self._locked(kind, key):
            found = self.read(kind, key, codec)
            if found is not None and enough(found):
                return found, True
            extended = extend(found)
            self._write(kind, key, codec, extended)
        return extended, False

    def read(self, kind: str, key: str, codec: Codec[T]) -> T | None:
        """The entry, or None; a damaged file is named and removed."""
        if not self.limit:
            return None
        for path in sorted((self.root / kind).glob(f"{key}-*.{codec.suffix}")):
            try:
                content = path.read_bytes()
                if _checksum(content) != path.stem.rpartition("-")[2]:
                    raise ValueError("its content does not match its checksum")
                value = codec.decode(content)
            except FileNotFoundError:  # another process made room
                continue
            except Exception as error:
                print(f"edu_align: dropping a damaged file of the cache, {path}: {error}", file=sys.stderr, flush=True)
                path.unlink(missing_ok=True)
                continue
            with contextlib.suppress(OSError):
                os.utime(path)
            return value
        return None

    def _write(self, kind: str, key: str, codec: Codec[T], value: T) -> None:
        """Write the entry in place of an older one of its key; a disk that is full or read-only costs the entry, not
        the run.
        """
        content = codec.encode(value)
        folder = self.root / kind
        aside = folder / f".{uuid.uuid4().hex}.aside"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with aside.open("wb") as file, held(aside):
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                written = folder / f"{key}-{_checksum(content)}.{codec.suffix}"
                aside.replace(written)
            for older in set(folder.glob(f"{key}-*.{codec.suffix}")) - {written}:
                older.unlink(missing_ok=True)
            self._make_room()
        except OSError as error:
            print(f"edu_align: the cache keeps no {kind} ({error})", file=sys.stderr, flush=True)
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)

    def _make_room(self) -> None:
        """Remove what was not used for longest until the rest is within the limit, and what killed writers left."""
        entries = []
        for path in self.root.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                facts = path.stat()
                if path.suffix == ".aside":
                    remove_abandoned(path)
                elif path.suffix in (".safetensors", ".jsonl"):
                    entries.append((facts.st_mtime, facts.st_size, path))
        size = sum(entry[1] for entry in entries)
        for _, taken, path in sorted(entries):
            if size <= self.limit:
                return
            path.unlink(missing_ok=True)
            size -= taken

    @contextlib.contextmanager
    def _locked(self, kind: str, key: str) -> Iterator[None]:
        """Hold the lock of `key`; a holder that dies lets go. Where a disk has no locks, every process computes."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.root / "locks" / f"{kind}-{key[:2]}")  # so there are few of these files
        try:
            Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                print(f"edu_align: waiting for {kind} that another process computes", flush=True)
                lock.acquire(timeout=PATIENCE_SECONDS)
        except OSError:  # a Timeout is one, and so is filelock's word for no locks
            yield
            return
        try:
            yield
        finally:
            lock.release()


def _checksum(content: bytes) -> str:
    return sha256(content)[:CHECKSUM]


Arrays = dict[str, Any]  # name -> numpy array


def ragged(name: str, rows: Sequence[Sequence[int]]) -> Arrays:
    """Rows of different lengths as one flat int32 array and their lengths."""
    lengths = np.array([len(row) for row in rows], dtype=np.int32)
    flat = np.fromiter((token for row in rows for token in row), dtype=np.int32, count=int(lengths.sum()))
    return {name: flat, f"{name}.lengths": lengths}


def rows_of(arrays: Mapping[str, Any], name: str) -> list[list[int]]:
    """What `ragged` was given."""
    ends = np.cumsum(arrays[f"{name}.lengths"]).tolist()
    flat = arrays[name].tolist()
    return [flat[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def content(arrays: Arrays) -> str:
    """SHA-256 over the arrays and their names."""
    found = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _encode(value: tuple[Arrays, dict[str, Any]]) -> bytes:
    from safetensors.numpy import save

    arrays, facts = value
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, {"facts": json.dumps(facts)})


def _decode(content: bytes) -> tuple[Arrays, dict[str, Any]]:
    from safetensors.numpy import load

    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return load(content), json.loads(header["__metadata__"]["facts"])


# (arrays, facts): facts are JSON values about the arrays.
TENSORS: Codec[tuple[Arrays, dict[str, Any]]] = Codec("safetensors", _encode, _decode)
