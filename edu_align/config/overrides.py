"""The overrides of a command line (`trainer=dpo`, `+trainer.args.tf32=true`, `trainer.beta=0.1,0.3`), one by one."""

from dataclasses import dataclass
from itertools import islice
from typing import Any

from edu_align.config.schema import GROUP_SCHEMAS
from edu_align.errors import UserError

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


def read(text: str, options: Any) -> Change:
    """Parse one override with Hydra's own grammar. `options(group)` lists the YAML files of a group, for `glob(*)`.

    Raises `UserError` where `text` is not of the form key=value.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Override
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_override(text)
        values = _values(parsed, Override, options)
    except HydraException as error:
        first = str(error).strip().splitlines()[0].partition(" expecting ")[0]
        raise UserError(f"`{text}` cannot be read as key=value ({first}). Quote values with special signs.") from None
    except (RecursionError, ValueError) as error:  # brackets in brackets, a number of thousands of digits
        key = text.partition("=")[0]
        raise UserError(f"`{key}`: its value cannot be read ({str(error)[:120]}). Give a shorter one.") from None
    sign = "~" if parsed.is_delete() else "+" if parsed.is_add() else "++" if parsed.is_force_add() else ""
    sweep = parsed.is_sweep_override()
    return Change(text, parsed.key_or_group, sign, values, sweep, parsed.package, parsed.is_interval_sweep())


def _values(parsed: Any, kind: Any, options: Any) -> tuple[Any, ...]:
    if not parsed.is_sweep_override():
        return (parsed.value(),)
    if parsed.is_interval_sweep():
        ends = (parsed.value().start, parsed.value().end)
        return tuple(int(end) if end == int(end) else end for end in ends)  # the grammar reads 3 as 3.0 here
    if hasattr(parsed.value(), "filter"):  # glob(...)
        names = [*options(parsed.key_or_group), *GROUP_SCHEMAS.get(parsed.key_or_group, {})]
        return tuple(parsed.value().filter(names))
    return tuple(kind._convert_value(value) for value in islice(parsed.sweep_iterator(), MOST_SWEPT))


def read_all(texts: list[str], options: Any) -> tuple[list[Change], list[str]]:
    """Every override that can be read, and a problem for each that cannot."""
    changes, problems = [], []
    for text in texts:
        try:
            changes.append(read(text, options))
        except UserError as error:
            problems.append(str(error))
    return changes, problems
