"""Which split an id belongs to: a fixed rule over a hash of the id, so no list has to be kept."""

import hashlib
import math
from collections.abc import Iterable

SPLITS = ("train", "validation", "test")
SALT = "edu_align-tutoring-1"


def rank(text: str) -> str:
    """Hex digest by which ids are ordered: SHA-256 of the salt and the text."""
    return hashlib.sha256(f"{SALT}:{text}".encode()).hexdigest()


def assign(ids: Iterable[str]) -> dict[str, str]:
    """Split of every id: of n ids in hash order the first n/5 are test, the next n/10 validation, the rest train.

    n/5 is rounded to the nearest whole number, n/10 up, and neither is ever below 1, so no split is empty for n >= 3.
    """
    ordered = sorted(set(ids), key=rank)
    test = max(1, round(0.2 * len(ordered)))
    validation = max(1, math.ceil(0.1 * len(ordered)))
    return {
        key: "test" if place < test else "validation" if place < test + validation else "train"
        for place, key in enumerate(ordered)
    }


def sizes(total: int) -> dict[str, int]:
    """How many of `total` >= 3 generated groups go to each split: 10% validation, 20% test, at least one of each."""
    test, validation = max(1, round(0.2 * total)), max(1, round(0.1 * total))
    return {"train": total - test - validation, "validation": validation, "test": test}
