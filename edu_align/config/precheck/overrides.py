"""The overrides of a command line (`trainer=dpo`, `+trainer.args.tf32=true`, `trainer.beta=0.1,0.3`), one by one."""

import math
from collections.abc import Iterator
from decimal import Decimal
from itertools import count, islice
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, RangeSweep
from hydra.errors import HydraException

from edu_align.config.precheck.files import Files
from edu_align.config.schema import GROUP_SCHEMAS
from edu_align.utils.errors import first_line


def swept_values(parsed: Override) -> Iterator[Any]:
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


MOST_SHOWN = 500  # letters of an override that cannot be read
MOST_SWEPT = 1000  # values of one range() that are checked


class Change(NamedTuple):
    """One override. `sign` is "", "+", "++" or "~"; `values` is what the key takes, one value unless it is a sweep."""

    text: str
    key: str
    sign: str
    values: tuple[Any, ...]
    sweep: bool
    endless: bool  # an interval, whose values cannot be listed


def read_all(texts: list[str], files: Files) -> tuple[list[Change], list[str]]:
    """The overrides that are not for Hydra itself, and a problem for each that its grammar cannot read."""
    changes, problems = [], []
    for text in texts:
        try:
            parsed = OverridesParser.create().parse_override(text)
            key = parsed.get_key_element().lstrip("+~")
            sign = parsed.get_key_element().removesuffix(key)
            sweep, endless = parsed.is_sweep_override(), parsed.is_interval_sweep()
            if not f"{key}.".startswith(("hydra.", "hydra/", "hydra@")):
                changes.append(Change(text, key, sign, _values(parsed, files), sweep, endless))
        except (HydraException, RecursionError, ValueError) as error:  # brackets in brackets, thousands of digits
            why = first_line(error).partition(" expecting ")[0]
            problems.append(f"`{text[:MOST_SHOWN]}` cannot be read as key=value ({why}). Quote special signs.")
    return changes, problems


def _values(parsed: Override, files: Files) -> tuple[Any, ...]:
    value: Any = parsed.value()
    if not parsed.is_sweep_override():
        return (value,)
    if parsed.is_interval_sweep():
        return tuple(int(end) if end == int(end) else end for end in (value.start, value.end))  # 3 is read as 3.0
    if isinstance(value, Glob):
        group = parsed.key_or_group
        return tuple(value.filter([*files.get_group_options(group), *GROUP_SCHEMAS.get(group, {})]))
    return tuple(Override._convert_value(each) for each in islice(swept_values(parsed), MOST_SWEPT))
