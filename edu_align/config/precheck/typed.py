"""The typed config that layers and overrides make, set key by key, so that every key that cannot be set is noted."""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from omegaconf import OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from edu_align.config.keys import base_schema, branches, expected, is_open, opened_by, root_leaves, unknown_key
from edu_align.config.precheck.defaults_list import Chosen
from edu_align.config.schema import GROUP_SCHEMAS, Config


@dataclass
class Draft:
    """`root` is the typed config, `known` its keys with their types, `branches` those that hold others.

    `bad`: the keys whose value was refused.
    """

    root: Any
    known: dict[str, Any]
    branches: dict[str, None]
    options: dict[str, str | None]
    problems: list[str] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)

    def note(self, key: str, problem: str) -> bool:
        self.bad.add(key)
        self.problems += [problem] if problem not in self.problems else []
        return False


def draft(chosen: Chosen) -> Draft:
    """Merge the layers into the schemas that they name. Keys under `hydra` are left to Hydra."""
    schemas: dict[str, type] = {group: base_schema(group) for group in GROUP_SCHEMAS}
    named = {layer.package: layer.schema for layer in chosen.layers if layer.schema is not None}
    problems = []
    for layer in chosen.layers:
        variants = GROUP_SCHEMAS.get(layer.package, {})
        if (
            len(variants) > 1 and layer.package not in named
        ):  # its keys would be unknown: guess, to check them all the same
            guess = f"{layer.content.get('algorithm')}_schema"
            schemas[layer.package] = variants.get(guess, schemas[layer.package])
            name = guess if guess in variants else " or ".join(variants)
            problems.append(f"{layer.where}: names no schema. Begin it with `defaults: [{name}, _self_]`.")
    schemas.update(named)
    known = root_leaves(schemas)
    made = Draft(OmegaConf.structured(Config), known, branches(known), chosen.options, problems)
    with flag_override(made.root, "no_deepcopy_set_nodes", True):
        for group in GROUP_SCHEMAS:
            if chosen.options.get(group):
                made.root[group] = OmegaConf.structured(schemas[group])
    for layer in chosen.layers:
        for key, value in layer.content.items():
            name = f"{layer.package}.{key}".lstrip(".")
            if name.split(".")[0] != "hydra":
                assign(made, name, value, f"{layer.where}: ")
    return made


def assign(made: Draft, key: str, value: Any, where: str = "", sign: str = "") -> bool:
    """Set one key and return True, or note why it cannot be set. A mapping for a key that holds keys is set by key."""
    opened = opened_by(key)
    if key in made.branches:
        if isinstance(value, dict):
            done = [assign(made, f"{key}.{inner}", item, where, sign) for inner, item in value.items()]
            return all(done)
        choose = f"choose an option with {key}=<option>" if key in GROUP_SCHEMAS else "set the keys below it"
        return made.note(key, f"{where}`{key}` holds keys and cannot be {value!r}: {choose}.")
    if key not in made.known and opened is None:
        return made.note(key, f"{where}{unknown_key(key, made.known, made.options)}")
    if OmegaConf.is_missing(made.root, key.partition(".")[0]):
        return False  # the group has no choice, which is a problem of its own
    problem = _sign_problem(made, key, sign, opened)
    if problem is not None:
        return made.note(key, f"{where}{problem}")
    if sign == "~":
        return False
    try:
        if opened is None and not is_open(made.known[key]):
            node, (*path, last) = made.root, key.split(".")
            for part in path:
                node = node[part]
            node[last] = value
        else:
            OmegaConf.update(made.root, key, value, merge=True, force_add=True)
    except OmegaConfBaseException:
        kind = made.known[opened or key]
        return made.note(key, f"{where}`{key}` must be {expected(kind)}, got {value!r}.{_example(kind, value)}")
    return True


def _sign_problem(made: Draft, key: str, sign: str, opened: str | None) -> str | None:
    """Whether `+`, `~` or no sign fits the key: schema keys are there already and stay; open ones take new keys."""
    there = True
    if opened is not None:
        with suppress(OmegaConfBaseException):  # what cannot be resolved is a value too, and told later
            there = OmegaConf.select(made.root, key) is not None
    if sign == "~" and opened is None:
        return f"`~{key}`: keys of the schema cannot be deleted. Set `{key}` to the value that you want."
    if sign == "~" and not there:
        return f"`~{key}`: there is no such key to delete."
    if sign == "" and not there:
        return f"`{key}` is new below `{opened}`. Put a `+` before it: `+{key}=...`."
    if sign == "+" and there and (opened or not is_open(made.known[key])):
        return f"`+{key}`: the key is there already. Drop the `+`: `{key}=...`."
    return None


def _example(kind: Any, value: Any) -> str:
    """How to write what was meant, where it is plain."""
    words = expected(kind)
    if words.startswith(("a whole number", "a number")):
        return f" Write digits, such as {'10' if words.startswith('a whole') else '0.1 or 2e-4'}."
    return f" Write [{value}]." if words.startswith("a list") and isinstance(value, str) else ""
