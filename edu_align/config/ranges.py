"""The values of a sweep that can be listed; those of a `range()` by its written digits, which floats run past."""

import math
from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from typing import Any

from hydra.core.override_parser.types import Override, RangeSweep


def values(parsed: Override) -> Iterator[Any]:
    """Each value in order, as Hydra's own `sweep_iterator`: 0.1, 0.2, 0.3, 0.4 for `range(0.1,0.5,0.1)`."""
    sweep = parsed.value()
    return _steps(sweep) if isinstance(sweep, RangeSweep) else parsed.sweep_iterator()


def _steps(sweep: RangeSweep) -> Iterator[int | float]:
    written = (sweep.start or 0, sweep.stop or 0, sweep.step)
    if any(math.isnan(number) for number in written):
        return
    start, stop, step = (Decimal(str(number)) for number in written)
    kind = int if all(isinstance(number, int) for number in written) else float
    for number in count():
        value = start + number * step
        if not (value < stop if step > 0 else value > stop):
            return
        yield kind(value)
