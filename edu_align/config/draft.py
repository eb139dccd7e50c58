"""A config under construction that collects problems where OmegaConf would stop at the first."""

from dataclasses import dataclass, field
from typing import Any

from edu_align.config.choices import Layer
from edu_align.config.keys import base_schema, branches, expected, is_open, opened_by, root_leaves, unknown_key
from edu_align.config.schema import GROUP_SCHEMAS, Config


@dataclass
class Draft:
    """`root` is the typed config, `known` its keys with their types, `bad` the keys whose value was refused.

    `nodes` are the parts of `root` that hold keys, None where the group has no choice.
    """

    root: Any
    known: dict[str, Any]
    choices: dict[str, str | None]
    nodes: dict[str, Any]
    problems: list[str] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)


def draft(layers: list[Layer], choices: dict[str, str | None]) -> Draft:
    """Merge `layers` in order into the schemas that they name. Keys under `hydra` are left to Hydra."""
    from omegaconf import OmegaConf, flag_override

    schemas: dict[str, type] = {group: base_schema(group) for group in GROUP_SCHEMAS}
    schemas.update((layer.package, layer.schema) for layer in layers if layer.schema is not None)
    unnamed = _guess_schemas(layers, schemas)
    root, known = OmegaConf.structured(Config), root_leaves(schemas)
    with flag_override(root, "no_deepcopy_set_nodes", True):
        for group in GROUP_SCHEMAS:
            if choices.get(group):
                root[group] = OmegaConf.structured(schemas[group])
    chosen = [name for name in branches(known) if not OmegaConf.is_missing(root, name.partition(".")[0])]
    nodes = {name: OmegaConf.select(root, name) if name in chosen else None for name in branches(known)}
    made = Draft(root, known, choices, nodes, unnamed)
    for layer in layers:
        if layer.package.split(".")[0] != "hydra":
            prefix = f"{layer.package}." if layer.package else ""
            for key, value in layer.content.items():
                if prefix or key != "hydra":
                    assign(made, f"{prefix}{key}", value, f"{layer.where}: ")
    return made


def _guess_schemas(layers: list[Layer], schemas: dict[str, type]) -> list[str]:
    """A problem for every option that names no schema where its group has several, whose keys would be unknown.

    To check it all the same, its schema is taken from its `algorithm`.
    """
    found = []
    named = {layer.package for layer in layers if layer.schema is not None}
    for layer in layers:
        variants = GROUP_SCHEMAS.get(layer.package, {})
        if len(variants) > 1 and layer.package not in named:
            guess = f"{layer.content.get('algorithm')}_schema"
            schemas[layer.package] = variants.get(guess, schemas[layer.package])
            name = guess if guess in variants else " or ".join(variants)
            found.append(f"{layer.where}: names no schema. Begin it with `defaults: [{name}, _self_]`.")
    return found


def assign(made: Draft, key: str, value: Any, where: str = "", sign: str = "") -> bool:
    """Set one key and return True, or note why it cannot be set. A mapping for a key that holds keys is set by key."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    opened = opened_by(key)
    if key in made.nodes:
        return _assign_branch(made, key, value, where, sign)
    if key not in made.known and opened is None:
        return _note(made, key, f"{where}{unknown_key(key, made.known, made.choices)}")
    if made.nodes.get(key.partition(".")[0], made.root) is None:
        return False  # the group has no choice, which is a problem of its own
    problem = _sign_problem(made, key, sign, opened)
    if problem is not None:
        return _note(made, key, f"{where}{problem}")
    if sign == "~":
        return False
    try:
        if opened is None and not is_open(made.known[key]):
            parent, _, last = key.rpartition(".")
            made.nodes.get(parent, made.root)[last] = value
        else:
            OmegaConf.update(made.root, key, value, merge=True, force_add=True)
    except OmegaConfBaseException:
        kind = made.known[opened or key]
        return _note(made, key, f"{where}`{key}` must be {expected(kind)}, got {value!r}.{_example(kind, value)}")
    return True


def _assign_branch(made: Draft, key: str, value: Any, where: str, sign: str) -> bool:
    if isinstance(value, dict):
        done = [assign(made, f"{key}.{inner}", item, where, sign) for inner, item in value.items()]
        return all(done)
    choose = f"choose an option with {key}=<option>" if key in GROUP_SCHEMAS else "set the keys below it"
    return _note(made, key, f"{where}`{key}` holds keys and cannot be {value!r}: {choose}.")


def _sign_problem(made: Draft, key: str, sign: str, opened: str | None) -> str | None:
    """Whether `+`, `~` or no sign fits the key: schema keys are there already and stay; open ones take new keys."""
    if opened is None:
        if sign == "~":
            return f"`~{key}`: keys of the schema cannot be deleted. Set `{key}` to the value that you want."
        if sign == "+" and not is_open(made.known[key]):
            return f"`+{key}`: the key is there already. Drop the `+`: `{key}=...`."
        return None
    there = _is_there(made, key)
    if sign == "~" and not there:
        return f"`~{key}`: there is no such key to delete."
    if sign == "" and not there:
        return f"`{key}` is new below `{opened}`. Put a `+` before it: `+{key}=...`."
    if sign == "+" and there:
        return f"`+{key}`: the key is there already. Drop the `+`: `{key}=...`."
    return None


def _is_there(made: Draft, key: str) -> bool:
    """Whether a key below an open one has a value; one that cannot be resolved is a value too, and told later."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return OmegaConf.select(made.root, key) is not None
    except OmegaConfBaseException:
        return True


def _example(kind: Any, value: Any) -> str:
    """How to write what was meant, where it is plain."""
    words = expected(kind)
    if words.startswith("a whole number"):
        return " Write digits, such as 10."
    if words.startswith("a number"):
        return " Write digits, such as 0.1 or 2e-4."
    return f" Write [{value}]." if words.startswith("a list") and isinstance(value, str) else ""


def _note(made: Draft, key: str, problem: str) -> bool:
    made.bad.add(key)
    if problem not in made.problems:
        made.problems.append(problem)
    return False
