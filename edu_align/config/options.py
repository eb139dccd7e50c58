"""Options of another library's config that pass through an open key of ours (`trainer.args`, `adapter.args`).

Each of its fields is ours (a key of the schema decides it), passed on, or refused with a reason; what is none of the
three is not known, and not passed. The fields are read from the library's source with `ast`: importing TRL or PEFT
takes seconds, that a tenth of one, and only where an open key holds anything.
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edu_align.config.bounds import holds, not_a_word
from edu_align.utils.words import nearest


@dataclass(frozen=True)
class Need:
    """What an option does nothing without: `key` is one of some words, a number that keeps a rule, or what a function
    says. `set_to` does.
    """

    key: str
    holds: tuple[Any, ...] | str | Callable[[Any], bool]
    set_to: str


@dataclass(frozen=True)
class Passed:
    """An option that is passed on. `kind`: a key of KINDS, or `words`.

    `default` is the library's; what an option needs is asked of other values only.
    """

    kind: str
    default: Any
    rule: str = ""
    words: tuple[str, ...] = ()
    pattern: str = ""  # of a text that has more forms than `words` says
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True)
class Options:
    """What becomes of the fields of the config class `name` of `library` below the open key `key`."""

    key: str
    library: str
    name: str
    fields: frozenset[str]
    ours: dict[str, str]
    passed: dict[str, Passed]
    refused: dict[str, str] = field(default_factory=dict)


# What a value is, by kind: its types and how that is said.
KINDS: dict[str, tuple[Any, str]] = {
    "number": (int | float, "a number"), "whole": (int, "a whole number"), "true or false": (bool, "true or false"),
    "text": (str, "text"), "mapping": (dict | str, "a mapping such as {min_lr_rate: 0.1}"),
    "words": (str, "text"), "names": (list, "a list of names such as [lm_head]"),
    "names or pattern": (list | str, "a list of names, or a text that is a regular expression"),
    "layers": (list | int, "the number of a layer, or a list of them"),
    "words or true": (bool | str, "true or a word"),
    "whole numbers by name": (dict, "a mapping of names to whole numbers such as {q_proj: 16}"),
    "numbers by name": (dict, "a mapping of names to numbers such as {q_proj: 16}"),
}  # fmt: skip

BOOLEANS = ("true or false", "words or true")


def problems_of_options(args: dict[str, Any], options: Options, values: dict[str, Any]) -> Iterator[str]:
    """A problem for each option of `args` that is not passed on, or not with this value and these keys.

    `values`: the whole config, dotted key to value.
    """
    set_keys = values | {f"{options.key}.{name}": value for name, value in args.items()}
    for name, value in args.items():
        key, fields, ours = f"{options.key}.{name}", options.fields, options.ours
        if name in ours and (name in fields or not fields):
            yield f"`{key}` is set by `{ours[name]}`. Set that key and drop this one."
        elif fields and name not in fields:
            best = nearest(str(name), sorted(fields))
            hint = f" Did you mean `{ours.get(best, f'{options.key}.{best}')}`?" if best else ""
            yield f"`{key}` is not an option of {options.library}'s {options.name}.{hint}"
        elif name in options.refused:
            yield f"`{key}` cannot be set here: {options.refused[name]}. Drop it."
        elif name not in options.passed:
            yield f"`{key}` is an option of {options.library}'s that this version of edu_align does not know. Drop it."
        else:
            yield from _problems_of_value(key, value, options, set_keys)


def _problems_of_value(key: str, value: Any, options: Options, values: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the value of an option that is passed on, or what the option does nothing without."""
    known = options.passed
    option = known[key.removeprefix(f"{options.key}.")]
    if value == option.default and isinstance(value, bool) == isinstance(option.default, bool):
        return
    usual = "" if option.default is None else f" {options.library}'s own is {shown(option.default)}."
    if option.kind == "words" and value not in option.words:
        yield not_a_word(key, str(value), option.words)
    elif isinstance(value, str) and option.pattern and not re.fullmatch(option.pattern, value):
        yield not_a_word(key, value, option.words)
    elif not _is_a(option.kind, value):
        yield f"`{key}` must be {KINDS[option.kind][1]}, got {value!r}.{usual} Set it, or drop it."
    elif option.rule and not all(holds(number, option.rule) for number in _numbers(value)):
        yield f"`{key}` must be {option.rule}, got {value}.{usual} Set it, or drop it."
    else:
        for need in option.needs:
            name = need.key.removeprefix(f"{options.key}.")
            found = values.get(need.key, known[name].default if name in known and name != need.key else None)
            if not _met(need, found):
                yield f"`{key}` does nothing with {need.key}={shown(found)}. Set {_setting(need)}, or drop it."


def _is_a(kind: str, value: Any) -> bool:
    if not isinstance(value, KINDS[kind][0]) or (kind not in BOOLEANS and isinstance(value, bool)):
        return False
    if kind == "layers":
        return all(isinstance(one, int) and not isinstance(one, bool) for one in _numbers(value))
    if kind.endswith("numbers by name"):
        number = int if kind.startswith("whole") else int | float
        numbers = all(isinstance(one, number) and not isinstance(one, bool) for one in value.values())
        return numbers and all(isinstance(name, str) for name in value)
    if kind.startswith("names"):
        return bool(value) and all(isinstance(name, str) and name for name in value)
    return True


def _numbers(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else [value]


def _met(need: Need, found: Any) -> bool:
    if isinstance(need.holds, str):
        return isinstance(found, int | float) and holds(found, need.holds)
    return need.holds(found) if callable(need.holds) else found in need.holds


def _setting(need: Need) -> str:
    """The word of a command line that does what is needed."""
    if need.key == "adapter.name":
        return f"adapter={need.set_to}"
    return f"{'++' if '.args.' in need.key else ''}{need.key}={need.set_to}"


def shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def fields_of(package: str, path: str, name: str) -> frozenset[str]:
    """Annotated names of a class in the source file `path` of an installed package; empty where it cannot be read."""
    node = class_in(package, path, name)
    lines = [line.target for line in node.body if isinstance(line, ast.AnnAssign)] if node else []
    return frozenset(target.id for target in lines if isinstance(target, ast.Name))


@cache
def class_in(package: str, path: str, name: str) -> ast.ClassDef | None:
    """The class `name` in the source file `path` of an installed package, which is not imported."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / path
    if not file.is_file():
        return None
    found = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    return next((node for node in found if node.name == name), None)
