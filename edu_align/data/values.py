"""What a value from a file must be before it is used as text or as a number."""

import math
from typing import Any

MOST_LEVELS = 50  # of objects and lists in each other, in one row
NO_UNICODE = "text that is no Unicode (a lone surrogate)"


def is_unicode(text: str) -> bool:
    """Whether the text can be written as UTF-8, which half of a surrogate pair cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def looked_through(value: Any) -> tuple[int, bool]:
    """How many levels of objects and lists a value has, and whether all text in it is Unicode."""
    deepest, text = 0, True
    left = [(value, 1)]
    while left:
        item, level = left.pop()
        deepest = max(deepest, level)
        if isinstance(item, str):
            text = text and is_unicode(item)
        elif isinstance(item, dict):
            left += [(inner, level + 1) for pair in item.items() for inner in pair]
        elif isinstance(item, list | tuple):
            left += [(inner, level + 1) for inner in item]
    return deepest, text


def finite(value: Any) -> float | None:
    """A number as a float; None for everything else: text, true, NaN, infinity, an integer beyond the floats."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
