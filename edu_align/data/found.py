"""What a reader of a file format finds: a value with its number, and what is wrong with it."""

from typing import Any, NamedTuple


class Found(NamedTuple):
    """One row of a file, with its number from 1.

    `fault`: why it cannot be used, in words that such rows share; "" where it can. `detail`: the same in words of this
    row, or what was made of a row that can be used.
    """

    number: int
    value: Any
    fault: str = ""
    detail: str = ""
