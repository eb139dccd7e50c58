"""gguf's writer, which can also write a list without items: a byte-level tokenizer may have no merges."""

import struct
from typing import Any

from gguf import GGUFValueType, GGUFWriter


class _NoStrings(list[str]):
    """An empty list that the writer does not take for a mistake."""


class Writer(GGUFWriter):
    """One file, written in the order metadata, tensor table, tensors."""

    def add_strings(self, key: str, texts: list[str]) -> None:
        """A list of texts, also an empty one: llama.cpp refuses a byte-level tokenizer without a list of merges."""
        self.add_key_value(key, texts or _NoStrings(), GGUFValueType.ARRAY, GGUFValueType.STRING)

    def _pack_val(
        self, val: Any, vtype: GGUFValueType, add_vtype: bool, sub_type: GGUFValueType | None = None
    ) -> bytes:
        if not isinstance(val, _NoStrings):
            return super()._pack_val(val, vtype, add_vtype, sub_type)
        return struct.pack("<IIQ", GGUFValueType.ARRAY, GGUFValueType.STRING, 0)
