"""Every key that the schemas know: its type, what its field states, who owns it, and what an unknown one meant."""

import types
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from edu_align.config.schema import GROUP_SCHEMAS, Config
from edu_align.utils.words import listed, nearest

_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@cache
def leaves(schema: type, prefix: str = "") -> dict[str, Any]:
    """`{dotted key: type}` of a dataclass, nested dataclasses opened: `{"architecture.vocab_size": int, ...}`."""
    hints = get_type_hints(schema)
    found: dict[str, Any] = {}
    for item in fields(schema):
        kind = hints[item.name]
        if is_dataclass(kind) and isinstance(kind, type):
            found.update(leaves(kind, f"{prefix}{item.name}."))
        else:
            found[prefix + item.name] = kind
    return found


def stated(what: str, schema: type = Config, prefix: str = "") -> dict[str, Any]:
    """`{dotted key: metadata}` of each key, and each group, whose field states `what`; see `schema.key`."""
    found: dict[str, Any] = {}
    for item in fields(schema):
        name = prefix + item.name
        if item.metadata.get(what):
            found[name] = item.metadata[what]
        for kind in GROUP_SCHEMAS.get(name, {"": item.type}).values():
            if is_dataclass(kind) and isinstance(kind, type):
                found.update(stated(what, kind, f"{name}."))
    return found


def base_schema(group: str) -> type:
    """The dataclass that `Config` declares for a group, before an option narrows it."""
    schema: type = get_type_hints(Config)[group]
    return schema


def opened_by(key: str) -> str | None:
    """The open key that `key` lies below: `trainer.args.tf32` -> `trainer.args`."""
    return next((name for name in OPEN_KEYS if key.startswith(name + ".")), None)


def root_leaves(schemas: dict[str, type]) -> dict[str, Any]:
    """`{dotted key: type}` of the whole config, with `schemas[group]` in the place of each group's base."""
    hints = get_type_hints(Config)
    found: dict[str, Any] = {}
    for item in fields(Config):
        kind = schemas.get(item.name, hints[item.name])
        if is_dataclass(kind) and isinstance(kind, type):
            found.update(leaves(kind, f"{item.name}."))
        else:
            found[item.name] = kind
    return found


def is_open(kind: Any) -> bool:
    """Whether a key of this type holds keys of the user's own (`trainer.args`, `dataset.columns`)."""
    return get_origin(kind) is dict


def _open_keys() -> tuple[str, ...]:
    found = dict(root_leaves({}))
    for group, schemas in GROUP_SCHEMAS.items():
        for schema in schemas.values():
            found |= leaves(schema, f"{group}.")
    return tuple(key for key, kind in found.items() if is_open(kind))


OPEN_KEYS = _open_keys()


def expected(kind: Any) -> str:
    """A type in plain words: `int | None` is "a whole number or null"."""
    if get_origin(kind) in (Union, types.UnionType):
        inner = [expected(part) for part in get_args(kind) if part is not type(None)]
        return " or ".join([*inner, "null"])
    if get_origin(kind) is list:
        return f"a list of {_NAMES[get_args(kind)[0]]}"
    if is_open(kind):
        held = get_args(kind)[1]
        return f"a mapping {{key: {_NAMES[held] if held in (int, float) else 'value'}}}"
    if kind is Any:
        return "a list of text, or a text"
    return _NAMES[kind]


def wrong_type(key: str, kind: Any, value: Any) -> str:
    """The problem of a value that a key of the type `kind` does not take, and how to write what was meant."""
    words, example = expected(kind), ""
    if words.startswith("a whole number"):
        example = " Write digits, such as 10."
    elif words.startswith("a number"):
        example = " Write digits, such as 0.1 or 2e-4."
    elif words.startswith("a list") and isinstance(value, str):
        example = f" Write [{value}]."
    return f"`{key}` must be {words}, got {value!r}.{example}"


def wrong_sign(key: str, sign: str, there: bool, kind: Any) -> str:
    """The problem of `+`, `~` or no sign before a key, empty where it fits. `there`: whether it has a value by now.

    Keys of the schema are there and stay; open ones (`trainer.args`) take new keys.
    """
    opened = opened_by(key)
    if sign == "~" and opened is None:
        return f"`~{key}`: keys of the schema cannot be deleted. Set `{key}` to the value that you want."
    if sign == "~" and not there:
        return f"`~{key}`: there is no such key to delete."
    if sign == "" and not there:
        return f"`{key}` is new below `{opened}`. Put a `+` before it: `+{key}=...`."
    if sign == "+" and there and (opened or not is_open(kind)):
        return f"`+{key}`: the key is there already. Drop the `+`: `{key}=...`."
    return ""


def holds_keys(key: str, value: Any) -> str:
    """The problem of a value for a group, or another key that holds keys."""
    choose = f"choose an option with {key}=<option>" if key in GROUP_SCHEMAS else "set the keys below it"
    return f"`{key}` holds keys and cannot be {value!r}: {choose}."


def owners(key: str) -> list[str]:
    """The choices that have `key`, where not every option of its group does: `trainer.beta` -> `["trainer=dpo"]`."""
    group, _, rest = key.partition(".")
    variants = GROUP_SCHEMAS.get(group, {})
    having = [name for name, schema in variants.items() if rest in leaves(schema)]
    return [f"{group}={name.removesuffix('_schema')}" for name in having if len(having) < len(variants)]


@cache
def typed_keys() -> dict[str, Any]:
    """`{dotted key: type}` of every option of every group, each key once."""
    found = root_leaves({})
    for group, variants in GROUP_SCHEMAS.items():
        for schema in variants.values():
            found.update({f"{group}.{leaf}": kind for leaf, kind in leaves(schema).items()})
    return found


def every_key() -> list[str]:
    """Every dotted key of every option, each once."""
    return list(typed_keys())


def unknown_key(key: str, known: dict[str, Any], choices: dict[str, str | None]) -> str:
    """The problem of a key that the chosen schemas do not have."""
    group = key.partition(".")[0]
    owned = owners(key)
    if owned:
        here = f", and this config has {group}={choices[group]}" if choices.get(group) else ""
        return f"`{key}` belongs to {listed(owned)}{here}. Choose {owned[0]} or drop the key."
    everything = list(dict.fromkeys([*known, *branches(known), *every_key()]))
    best = nearest(key, everything)
    if best is not None:
        owner = "" if best in known or not owners(best) else f" It belongs to {listed(owners(best))}."
        return f"`{key}` is not a key. Did you mean `{best}`?{owner}"
    parent = key.rpartition(".")[0]
    siblings = [name for name in known if name.rpartition(".")[0] == parent]
    if not siblings or not parent:
        parent, siblings = "", [name for name in everything if "." not in name]
    place = f"Keys of `{parent}`" if parent else "Root keys"
    return f"`{key}` is not a key. {place}: {', '.join(siblings)}."


def branches(known: dict[str, Any]) -> dict[str, None]:
    """The keys that hold keys, as an ordered set: `model`, `model.architecture`, ..."""
    found: dict[str, None] = {}
    for key in known:
        parts = key.split(".")
        found.update((".".join(parts[:count]), None) for count in range(1, len(parts)))
    return found
