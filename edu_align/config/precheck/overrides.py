"""The overrides of a command line (`trainer=dpo`, `+trainer.args.tf32=true`, `trainer.beta=0.1,0.3`), one by one."""

from dataclasses import dataclass
from itertools import islice
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, OverrideType
from hydra.errors import HydraException

from edu_align.config.precheck.files import Files
from edu_align.config.schema import GROUP_SCHEMAS
from edu_align.utils.errors import UserError, first_line

MOST_SWEPT = 1000  # values of one range() that are checked
_SIGNS = {OverrideType.CHANGE: "", OverrideType.ADD: "+", OverrideType.FORCE_ADD: "++", OverrideType.DEL: "~"}


@dataclass(frozen=True)
class Change:
    """One override. `values`: what the key takes, one value unless it is a sweep; `package`: the part after `@`."""

    text: str
    key: str
    sign: str  # "" | "+" | "++" | "~"
    values: tuple[Any, ...]
    package: str | None
    sweep: bool
    endless: bool  # an interval, whose values cannot be listed

    @property
    def for_hydra(self) -> bool:
        return self.key.startswith(("hydra.", "hydra/")) or self.key == "hydra"


def read_all(texts: list[str], files: Files) -> tuple[list[Change], list[str]]:
    """Every override that Hydra's own grammar can read, and a problem for each that it cannot."""
    changes, problems = [], []
    for text in texts:
        try:
            parsed = OverridesParser.create().parse_override(text)
            sweep, endless = parsed.is_sweep_override(), parsed.is_interval_sweep()
            sign, values = _SIGNS[parsed.type], _values(parsed, files)
            changes.append(Change(text, parsed.key_or_group, sign, values, parsed.package, sweep, endless))
        except HydraException as error:
            first = first_line(error).partition(" expecting ")[0]
            problems.append(f"`{text}` cannot be read as key=value ({first}). Quote values with special signs.")
        except (RecursionError, ValueError) as error:  # brackets in brackets, a number of thousands of digits
            key = text.partition("=")[0]
            problems.append(f"`{key}`: its value cannot be read ({str(error)[:120]}). Give a shorter one.")
    return changes, [str(UserError(problem)) for problem in problems]


def _values(parsed: Override, files: Files) -> tuple[Any, ...]:
    value: Any = parsed.value()
    if not parsed.is_sweep_override():
        return (value,)
    if parsed.is_interval_sweep():
        return tuple(int(end) if end == int(end) else end for end in (value.start, value.end))  # 3 is read as 3.0
    if isinstance(value, Glob):
        group = parsed.key_or_group
        return tuple(value.filter([*files.get_group_options(group), *GROUP_SCHEMAS.get(group, {})]))
    return tuple(Override._convert_value(each) for each in islice(parsed.sweep_iterator(), MOST_SWEPT))
