"""Rows of token ids, and columns of numbers, as safetensors."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edu_align.caching.store import Codec

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
