"""What a reader of a file format finds: a value with its number, and what is wrong with it."""

from typing import Any, NamedTuple


class Found(NamedTuple):
    """One row of a file, with its number from 1.

    `fault`: why it cannot be used, in words that such rows share, and `detail` in those of this one; "" where it can.
    """

    number: int
    value: Any
    fault: str = ""
    detail: str = ""
