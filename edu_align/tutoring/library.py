"""Every misconception of the corpus, in one tuple."""

from edu_align.tutoring.misconceptions import (
    algebra,
    decimals,
    fractions,
    geometry,
    integers,
    measurement,
    percent_ratio,
    probability_statistics,
    whole_numbers,
)
from edu_align.tutoring.splits import SPLITS, assign
from edu_align.tutoring.types import Misconception

LIBRARY: tuple[Misconception, ...] = (
    *whole_numbers.MISCONCEPTIONS,
    *fractions.MISCONCEPTIONS,
    *decimals.MISCONCEPTIONS,
    *integers.MISCONCEPTIONS,
    *percent_ratio.MISCONCEPTIONS,
    *measurement.MISCONCEPTIONS,
    *algebra.MISCONCEPTIONS,
    *probability_statistics.MISCONCEPTIONS,
    *geometry.MISCONCEPTIONS,
)


def split_of() -> dict[str, str]:
    """Split of every misconception's id. Each area is shared out on its own, so it is in every split."""
    areas = {item.area for item in LIBRARY}
    parts = (assign(item.id for item in LIBRARY if item.area == area) for area in sorted(areas))
    return {key: split for part in parts for key, split in part.items()}


def by_split() -> dict[str, tuple[Misconception, ...]]:
    """The misconceptions of each split, in the order of the library. A misconception is in one split only."""
    where = split_of()
    return {split: tuple(item for item in LIBRARY if where[item.id] == split) for split in SPLITS}
