"""The header of a GGUF file: its values and its table of tensors, read in a moment, without torch and numpy.

Format: github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

import mmap
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from edu_align.utils.errors import UserError
from edu_align.utils.hashing import file_state

MAGIC = b"GGUF"
SUFFIX = ".gguf"
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
F32, F16, BF16 = 0, 1, 30  # GGML's numbers of the types that hold plain floats
CONTROL = 3  # the type of a token that stands for no text


@dataclass(frozen=True)
class Tensor:
    """`shape` as torch has it, `kind` GGML's number of its type, `offset` in bytes from the first tensor."""

    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True)
class Header:
    """`values` by key, lists too; `tensors` by name; `start`: where the first one begins, in bytes."""

    file: Path
    values: dict[str, Any]
    tensors: dict[str, Tensor]
    start: int

    @property
    def architecture(self) -> str:
        return str(self.values.get("general.architecture", ""))

    def own(self, key: str, default: Any = None) -> Any:
        """The value of `<architecture>.<key>`."""
        return self.values.get(f"{self.architecture}.{key}", default)

    def token(self, name: str) -> str | None:
        """The token whose number is at `tokenizer.ggml.<name>_token_id`."""
        tokens, index = self.values.get("tokenizer.ggml.tokens", []), self.values.get(f"tokenizer.ggml.{name}_token_id")
        return tokens[index] if index is not None and index < len(tokens) else None

    def floats(self, name: str) -> Sequence[float]:
        """The numbers of a float32 tensor."""
        tensor, found = self.tensors[name], array("f")
        if tensor.kind != F32:
            raise UserError(f"`model.path`: the tensor {name} in {self.file.name} is no float32.")
        with self.file.open("rb") as opened:
            opened.seek(self.start + tensor.offset)
            found.frombytes(opened.read(4 * prod(tensor.shape)))
        return found


def gguf_file(path: str | Path) -> Path | None:
    """`path` as a GGUF file: by its name, or by its first bytes, as Ollama's blobs have none; None for all else."""
    file = Path(path).expanduser()
    if not file.is_file():
        return None
    return file if file.suffix.lower() == SUFFIX or starts_as_gguf(file) else None


def starts_as_gguf(file: Path) -> bool:
    """Whether the file's first bytes are GGUF's. Errors: it cannot be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(4) == MAGIC
    except OSError as error:
        raise UserError(f"`model.path`: {file} cannot be read ({error.strerror}). Make it readable.") from None


def read_header(file: Path) -> Header:
    """Errors: no GGUF file, of a version that nobody writes any more, or cut off."""
    return _read(file, tuple(file_state(file)))


@lru_cache(maxsize=2)
def _read(file: Path, state: tuple[Any, ...]) -> Header:
    if not starts_as_gguf(file):
        with file.open("rb") as opened:
            start = opened.read(40)
        pointer = " It is a git-lfs pointer: `git lfs pull` fetches the file." if start.startswith(b"version ") else ""
        raise UserError(
            f"`model.path`: {str(file)!r} is no GGUF file (it begins with {start[:8]!r}).{pointer or _DOWNLOAD}"
        )
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            header = _Reader(content).header(file)
    except (struct.error, ValueError, MemoryError, OverflowError):
        raise _cut_off(file) from None
    if header.tensors and state[1] < _length(header):
        raise _cut_off(file)
    return header


_DOWNLOAD = " Download it again, or give a folder with config.json and safetensors."


def _cut_off(file: Path) -> UserError:
    size = file.stat().st_size
    return UserError(f"`model.path`: {str(file)!r} is cut off ({size} bytes), or damaged. Download it again.")


def _length(header: Header) -> int:
    """Bytes of a whole file. Errors: KeyError and ValueError for a type of tensors that nobody knows."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    ends = []
    for name, tensor in header.tensors.items():
        if tensor.kind not in {kind.value for kind in GGML_QUANT_SIZES}:
            raise UserError(
                f"`model.path`: the tensor {name} in {header.file.name} is of a type (number {tensor.kind}) that the "
                "installed package gguf does not know. Give a file in another format, such as Q4_K_M or Q8_0."
            )
        many, size = GGML_QUANT_SIZES[GGMLQuantizationType(tensor.kind)]
        ends.append(tensor.offset + prod(tensor.shape) // many * size)
    return header.start + max(ends)


class _Reader:
    """Reads one value after the other. Errors: struct.error and ValueError past the end."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content, self.at = content, 4

    def header(self, file: Path) -> Header:
        version = self.number("I")
        if version not in (2, 3):
            raise UserError(
                f"`model.path`: {str(file)!r} is GGUF of version {version}, and only 2 and 3, for little-endian "
                "machines, are read. Convert it again with today's llama.cpp."
            )
        tensors, values = self.number("Q"), self.number("Q")
        found = {self.text(): self.value(self.number("I")) for _ in range(values)}
        table = dict(self.tensor() for _ in range(tensors))
        step = int(found.get("general.alignment", 32))
        return Header(file, found, table, -(-self.at // step) * step)

    def number(self, form: str) -> Any:
        (found,) = struct.unpack_from(f"<{form}", self.content, self.at)
        self.at += struct.calcsize(f"<{form}")
        return found

    def text(self) -> str:
        length = self.number("Q")
        found = self.content[self.at : self.at + length]
        if len(found) != length:
            raise ValueError("past the end")
        self.at += length
        return found.decode("utf-8", "replace")

    def texts(self, count: int) -> list[str]:
        """As `text`, `count` times: a vocabulary has some hundred thousand."""
        content, at, length_at, found = self.content, self.at, struct.Struct("<Q").unpack_from, []
        for _ in range(count):
            (length,) = length_at(content, at)
            at += 8 + length
            found.append(content[at - length : at].decode("utf-8", "replace"))
        self.at = at
        return found

    def value(self, kind: int) -> Any:
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind])
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            raise ValueError(f"no such type: {kind}")
        inner, count = self.number("I"), self.number("Q")
        if inner == _STRING:
            return self.texts(count)
        if inner not in _NUMBERS:
            return [self.value(inner) for _ in range(count)]
        form = f"<{count}{_NUMBERS[inner]}"
        found = list(struct.unpack_from(form, self.content, self.at))
        self.at += struct.calcsize(form)
        return found

    def tensor(self) -> tuple[str, Tensor]:
        name = self.text()
        shape = [self.number("Q") for _ in range(self.number("I"))]
        kind, offset = self.number("I"), self.number("Q")
        return name, Tensor(tuple(reversed(shape)), kind, offset)
