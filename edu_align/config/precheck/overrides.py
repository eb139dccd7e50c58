"""The overrides of a command line (`trainer=dpo`, `+trainer.args.tf32=true`, `trainer.beta=0.1,0.3`), one by one."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException

from edu_align.config.precheck.files import Files
from edu_align.config.schema import GROUP_SCHEMAS
from edu_align.utils.errors import UserError

MOST_SWEPT = 1000  # values of one range() that are checked


@dataclass(frozen=True)
class Change:
    """One override. `values`: what the key takes, one value unless it is a sweep; `package`: the part after `@`."""

    text: str
    key: str
    sign: str  # "" | "+" | "++" | "~"
    values: tuple[Any, ...]
    sweep: bool = False
    package: str | None = None
    endless: bool = False  # an interval, whose values cannot be listed

    @property
    def for_hydra(self) -> bool:
        return self.key.startswith(("hydra.", "hydra/")) or self.key == "hydra"


def read_all(texts: list[str], files: Files) -> tuple[list[Change], list[str]]:
    """Every override that can be read, and a problem for each that cannot."""
    changes, problems = [], []
    for text in texts:
        try:
            changes.append(_read(text, files))
        except HydraException as error:
            first = str(error).strip().splitlines()[0].partition(" expecting ")[0]
            problems.append(f"`{text}` cannot be read as key=value ({first}). Quote values with special signs.")
        except (RecursionError, ValueError) as error:  # brackets in brackets, a number of thousands of digits
            key = text.partition("=")[0]
            problems.append(f"`{key}`: its value cannot be read ({str(error)[:120]}). Give a shorter one.")
    return changes, [str(UserError(problem)) for problem in problems]


def _read(text: str, files: Files) -> Change:
    """Parse one override with Hydra's own grammar."""
    parsed = OverridesParser.create().parse_override(text)
    sign = "~" if parsed.is_delete() else "+" if parsed.is_add() else "++" if parsed.is_force_add() else ""
    sweep, values = parsed.is_sweep_override(), _values(parsed, files)
    return Change(text, parsed.key_or_group, sign, values, sweep, parsed.package, parsed.is_interval_sweep())


def _values(parsed: Override, files: Files) -> tuple[Any, ...]:
    value: Any = parsed.value()
    if not parsed.is_sweep_override():
        return (value,)
    if parsed.is_interval_sweep():
        return tuple(int(end) if end == int(end) else end for end in (value.start, value.end))  # 3 is read as 3.0
    if isinstance(value, Glob):
        names = [*files.options(parsed.key_or_group), *GROUP_SCHEMAS.get(parsed.key_or_group, {})]
        return tuple(value.filter(names))
    return tuple(Override._convert_value(each) for each in islice(parsed.sweep_iterator(), MOST_SWEPT))


def group_combinations(changes: list[Change], files: Files) -> Iterator[list[Change]]:
    """`changes` with every swept group narrowed to one of its options, for each combination."""
    swept = [change.values if change.sweep and files.options(change.key) else (None,) for change in changes]
    for chosen in product(*swept):
        pairs = zip(changes, chosen, strict=True)
        yield [change if value is None else replace(change, values=(value,)) for change, value in pairs]
