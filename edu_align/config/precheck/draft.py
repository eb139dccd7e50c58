"""The typed config that files and overrides make, set key by key, so that every key that cannot be set is noted."""

import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from hydra._internal.defaults_list import Overrides, _create_defaults_list
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from omegaconf import OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from edu_align.config import keys
from edu_align.config.arguments import quoted
from edu_align.config.precheck.files import Files
from edu_align.config.precheck.overrides import Change
from edu_align.config.schema import GROUP_SCHEMAS, Config
from edu_align.utils.suggest import listed, nearest

Given = dict[str, list[str]]  # group -> its options on the command line


@dataclass
class Draft:
    """`root`: the typed config. `known`: its keys with their types, none where the list of files has an error.

    `branches`: the keys that hold keys. `options`: each group's option. `hydra`: what the files set for Hydra.
    `bad`: the keys whose value was refused.
    """

    options: dict[str, str | None] = field(default_factory=dict)
    known: dict[str, Any] = field(default_factory=dict)
    branches: dict[str, None] = field(default_factory=dict)
    root: Any = field(default_factory=lambda: OmegaConf.structured(Config))
    hydra: Any = field(default_factory=lambda: OmegaConf.create({}))
    problems: list[str] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)


def draft(files: Files, primary: str, changes: list[Change]) -> Draft:
    """Merge the files that the defaults lists from `primary` on name. Of several values of a group the first counts.

    An option that does not exist is a problem, and the nearest one stands in for it.
    """
    made, given = Draft(), Given()
    groups = [change for change in changes if change.values and files.get_group_options(change.key)]
    for change in groups:
        options, first = files.get_group_options(change.key), None if change.sign == "~" else change.values[0]
        asked = [str(option) for option in (first if isinstance(first, list) else [first]) if option is not None]
        made.problems += [files.no_option(change.key, option) for option in asked if option not in options]
        near = [option if option in options else nearest(option, options) for option in asked]
        if any(near) or not asked:  # the files' own option otherwise
            given[change.key] = [option for option in near if option]
    lines, overrides = _lines(files, primary, given, set(), made.problems)
    met = {group for group, override in overrides.override_metadata.items() if override.used}
    met.update(overrides.known_choices)
    if lines and not met.issuperset(given):
        lines, overrides = _lines(files, primary, given, given.keys() - met, made.problems)
    made.options = overrides.known_choices | {group: ",".join(names) for group, names in given.items()}
    made.problems += [problem for change in groups for problem in _group_problems(change, met, files)]
    if lines:
        _merge(made, files, lines)
    return made


def _lines(
    files: Files, primary: str, given: Given, added: set[str], problems: list[str]
) -> tuple[list[ResultDefault], Overrides]:
    """Hydra's list of files, the groups `added` last; empty where there is none, which is a problem."""
    values = {group: ",".join(map(quoted, names)) for group, names in given.items()}
    words = [
        f"{'+' if group in added else ''}{group}=" + (value if len(given[group]) == 1 else f"[{value}]")
        for group, value in values.items()
    ]
    overrides = Overrides(files, OverridesParser.create().parse_overrides(words))
    lines: list[ResultDefault] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lines, _ = _create_defaults_list(files, primary, overrides, prepend_hydra=False, skip_missing=True)
    except MissingConfigException as error:
        path, inside = str(error.missing_cfg_file), re.match(r"In '(.*?)'", str(error))
        group, _, option = path.rpartition("/")
        override = overrides.override_metadata.get(group)
        file = files.load_config((override and override.containing_config_path) or (inside.group(1) if inside else ""))
        # Without options the line names a file and no group.
        problem = f"no config `{path}`." if error.options is None else files.no_option(group, option, in_file=True)
        files.problems.append(f"{file.provider if file else ''}: defaults: {problem}")
    except (HydraException, OmegaConfBaseException, ValueError, AssertionError, RecursionError) as error:
        problems.append(" ".join(str(error).split()) or f"The defaults list of `{primary}` cannot be read.")
    return lines, overrides


def _group_problems(change: Change, met: set[str], files: Files) -> Iterator[str]:
    """A group that a defaults list names (one of `met`) takes no `+` and is not deleted; any other one needs a `+`."""
    if change.sign == "~" and change.key in GROUP_SCHEMAS:
        options = listed(files.get_group_options(change.key))
        yield f"`~{change.key}`: every config has an option of {change.key}. Choose one: {options}."
    elif change.sign == "~" and not isinstance(change.values[0], str | None):
        yield f"`{change.text}`: no option has that name. Write ~{change.key}, or leave it out."
    elif change.sign != "~" and None in change.values:
        yield f"`{change.text}`: null is not an option. Leave {change.key} out to have none."
    elif change.sign in ("+", "++") and change.key in met:
        yield f"`{change.text}`: the group is there already. Drop the `{change.sign}`."
    elif change.sign == "" and change.key not in met:
        yield f"`{change.text}`: the group is not in the defaults list. Put a `+` before it: `+{change.text}`."


def _merge(made: Draft, files: Files, lines: list[ResultDefault]) -> None:
    """Merge the files into the schemas that they name. Keys under `hydra` are left to Hydra."""
    schemas = {group: keys.base_schema(group) for group in GROUP_SCHEMAS}
    layers: list[tuple[str, str, Any]] = []
    named: dict[str, type] = {}
    for line in lines:
        group, _, option = str(line.config_path).rpartition("/")
        if option in GROUP_SCHEMAS.get(group, {}):
            named[line.package or ""] = GROUP_SCHEMAS[group][option]
        elif file := files.load_config(str(line.config_path)):
            layers.append((file.provider, line.package or "", OmegaConf.to_container(file.config)))
    for where, package, content in layers:
        variants = GROUP_SCHEMAS.get(package, {})
        if len(variants) > 1 and package not in named:  # its keys would be unknown: guess, to check them all the same
            name = f"{content.get('algorithm')}_schema"
            schemas[package] = variants.get(name, schemas[package])
            name = name if name in variants else " or ".join(variants)
            made.problems.append(f"{where}: names no schema. Begin it with `defaults: [{name}, _self_]`.")
    schemas.update(named)
    made.known = keys.root_leaves(schemas)
    made.branches = keys.branches(made.known)
    with flag_override(made.root, "no_deepcopy_set_nodes", True):
        for group in filter(made.options.get, GROUP_SCHEMAS):
            made.root[group] = OmegaConf.structured(schemas[group])
    for where, package, content in layers:
        for key, value in content.items():
            path = [*filter(None, package.split(".")), str(key)]
            if path[0] != "hydra":
                assign(made, ".".join(path), value, f"{where}: ")
                continue
            for part in reversed(path[1:]):
                value = {part: value}
            made.hydra = OmegaConf.merge(made.hydra, value)


def assign(made: Draft, key: str, value: Any, where: str = "", sign: str = "") -> bool:
    """Set one key and return True, or note why it cannot be set. A mapping for a key that holds keys is set by key."""
    if key in made.branches and isinstance(value, dict):
        done = [assign(made, f"{key}.{inner}", item, where, sign) for inner, item in value.items()]
        return all(done)
    opened = keys.opened_by(key)
    if key in made.branches:
        problem = keys.holds_keys(key, value)
    elif key not in made.known and opened is None:
        problem = keys.unknown_key(key, made.known, made.options)
    elif OmegaConf.is_missing(made.root, key.partition(".")[0]):
        return False  # the group has no choice, which is a problem of its own
    else:
        there = True
        if opened is not None:
            with suppress(OmegaConfBaseException):  # what cannot be resolved is a value too, and checked later
                there = OmegaConf.select(made.root, key) is not None
        problem = keys.wrong_sign(key, sign, there, made.known[opened or key])
        if not problem and sign == "~":
            return False
        try:
            if not problem:
                OmegaConf.update(made.root, key, value, merge=True, force_add=True)
                return True
        except (OmegaConfBaseException, TypeError):  # a TypeError for a mapping in the place of a list
            problem = keys.wrong_type(key, made.known[opened or key], value)
    made.bad.add(key)
    made.problems.append(where + problem)
    return False
