"""`trainer.args`: options of TRL's SFTConfig and DPOConfig, checked against their fields without importing TRL.

Importing TRL takes seconds, reading the source of its config classes with `ast` takes a tenth of one, and that only
where `trainer.args` has a key.
"""

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edu_align.config.keys import stated
from edu_align.config.schema import GROUP_SCHEMAS, TrainerConfig
from edu_align.config.trl_options import refused
from edu_align.utils.suggest import nearest

_BASES = (("trl", "trainer/base_config.py", "_BaseConfig"), ("transformers", "training_args.py", "TrainingArguments"))


def owned(algorithm: str = "") -> dict[str, str]:
    """TRL options that edu_align sets itself, and the key that decides each: `{"optim": "hardware.optimizer", ...}`.

    With an `algorithm` only the keys that its trainer has.
    """
    schema = GROUP_SCHEMAS["trainer"].get(f"{algorithm}_schema")
    found = stated("trl")
    if schema is not None:
        found = {key: value for key, value in found.items() if not key.startswith("trainer.")}
        found |= stated("trl", schema, "trainer.")
    return {option: key for key, options in found.items() for option in options}


def problems_of_args(names: list[str], algorithm: str) -> Iterator[str]:
    """A problem for each name of `trainer.args` that TRL's config has no field for, or that another key sets."""
    place = _trl_config(algorithm)
    if not names or place is None:
        return
    fields, ours = trl_fields(algorithm), owned(algorithm)
    for name in names:
        if name in ours and (name in fields or not fields):
            yield f"`trainer.args.{name}` is set by `{ours[name]}`. Set that key and drop this one."
        elif fields and name not in fields:
            best = nearest(name, sorted(fields))
            hint = f" Did you mean `{ours.get(best, f'trainer.args.{best}')}`?" if best else ""
            yield f"`trainer.args.{name}` is not an option of TRL's {place[1]}.{hint}"
        elif problem := refused(name):
            yield problem


def _trl_config(algorithm: str) -> tuple[str, str] | None:
    """File and name of TRL's config class for an algorithm; None where its schema names none."""
    schema: Any = GROUP_SCHEMAS["trainer"].get(f"{algorithm}_schema", TrainerConfig)
    place: tuple[str, str] | None = schema.trl_config
    return place


def trl_fields(algorithm: str) -> frozenset[str]:
    """Field names of TRL's config class for `sft` or `dpo`, inherited ones too. Empty where TRL is not installed."""
    place = _trl_config(algorithm)
    found = [_fields(*where) for where in (("trl", *place), *_BASES)] if place else []
    return frozenset().union(*found) if all(found) else frozenset()


def enumeration(path: str, name: str) -> tuple[str, ...]:
    """Values of an enumeration in transformers, by file and class; empty where it cannot be read."""
    node = _class("transformers", path, name)
    values = [line.value for line in node.body if isinstance(line, ast.Assign)] if node else []
    return tuple(value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str))


def _fields(package: str, path: str, name: str) -> frozenset[str]:
    node = _class(package, path, name)
    lines = [line.target for line in node.body if isinstance(line, ast.AnnAssign)] if node else []
    return frozenset(target.id for target in lines if isinstance(target, ast.Name))


@cache
def _class(package: str, path: str, name: str) -> ast.ClassDef | None:
    """The class `name` in the source file `path` of an installed package, which is not imported."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / path
    if not file.is_file():
        return None
    found = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    return next((node for node in found if node.name == name), None)
