"""The typed config that files and overrides make, set key by key, so that every key that cannot be set is noted."""

import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hydra._internal.defaults_list import Overrides, _create_defaults_list
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from edu_align.config import keys
from edu_align.config.arguments import quoted
from edu_align.config.precheck.files import Files
from edu_align.config.precheck.overrides import Change
from edu_align.config.schema import GROUP_SCHEMAS, Config
from edu_align.config.text import meant, no_text
from edu_align.utils.errors import first_line
from edu_align.utils.words import listed, nearest


@dataclass
class Draft:
    """`root`: the typed config. `known`: its keys with their types, none where the list of files has an error.

    `branches`: the keys that hold keys, each with its part of `root`; None where a group has no choice. `options`: each
    group's option. `hydra`: what the files set for Hydra. `bad`: the keys whose value was refused.
    """

    options: dict[str, str | None] = field(default_factory=dict)
    known: dict[str, Any] = field(default_factory=dict)
    branches: dict[str, Any] = field(default_factory=dict)
    root: Any = None
    hydra: Any = field(default_factory=lambda: OmegaConf.create({}))
    problems: list[str] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)


def draft(files: Files, primary: str, changes: list[Change]) -> Draft:
    """Merge the files that the defaults lists from `primary` on name. Of several values of a group the first counts.

    An option that does not exist is a problem, and the nearest one stands in for it.
    """
    made = Draft()
    given: dict[str, str] = {}  # group -> the override that chooses its option
    groups = [change for change in changes if change.values and files.get_group_options(change.key)]
    for change in groups:
        option = change.values[0]
        chosen = option is not None and change.sign != "~"
        near = nearest(str(option), files.get_group_options(change.key)) if chosen else None
        if near or change.sign == "~":  # the files' own option otherwise
            given[change.key] = f"{change.key}={quoted(near)}" if near else f"~{change.key}"
        if chosen and near != str(option):
            made.problems.append(files.no_option(change.key, str(option)))
    lines, made.options = _lines(files, primary, list(given.values()), made.problems)
    made.problems += [problem for change in groups for problem in _group_problems(change, made.options, files)]
    if lines and not made.options.keys() >= given.keys():
        words = [word if word[0] == "~" or group in made.options else f"+{word}" for group, word in given.items()]
        lines, made.options = _lines(files, primary, words, made.problems)
    _merge(made, files, lines)
    return made


def _lines(files: Files, primary: str, words: list[str], problems: list[str]) -> tuple[list[ResultDefault], Any]:
    """Hydra's list of files and the option of each group; no files where there is a problem."""
    overrides = Overrides(files, OverridesParser.create().parse_overrides(words))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lines, _ = _create_defaults_list(files, primary, overrides, prepend_hydra=False, skip_missing=True)
        return lines, overrides.known_choices
    except MissingConfigException as error:
        path, inside = str(error.missing_cfg_file), re.match(r"In '(.*?)'", str(error))
        group, _, option = path.rpartition("/")
        override = overrides.override_metadata.get(group)
        file = files.load_config((override and override.containing_config_path) or (inside.group(1) if inside else ""))
        problem = files.no_option(group, option) if error.options else f"no config `{path}`."
        files.problems.append(f"{file.provider if file else ''}: defaults: {problem}")
    except (HydraException, OmegaConfBaseException, ValueError, AssertionError, RecursionError) as error:
        problems.append(" ".join(str(error).split()) or f"The defaults list of `{primary}` cannot be read.")
    return [], overrides.known_choices


def _group_problems(change: Change, met: Any, files: Files) -> Iterator[str]:
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
            layers.append((file.provider, line.package or "", file.config))
    for where, package, content in layers:
        variants = GROUP_SCHEMAS.get(package, {})
        if len(variants) > 1 and package not in named:  # its keys would be unknown: guess, to check them all the same
            name = f"{content.get('algorithm')}_schema"
            schemas[package] = variants.get(name, schemas[package])
            name = name if name in variants else " or ".join(variants)
            made.problems.append(f"{where}: names no schema. Begin it with `defaults: [{name}, _self_]`.")
    schemas.update(named)
    chosen: dict[str, Any] = {group: schemas[group] for group in filter(made.options.get, GROUP_SCHEMAS)}
    made.root = deepcopy(_typed(*chosen.items()))
    if not lines:
        return
    made.known = keys.root_leaves(schemas)
    there = {*chosen, *Config.__dataclass_fields__.keys() - GROUP_SCHEMAS.keys()}
    made.branches = {
        name: OmegaConf.select(made.root, name) if name.partition(".")[0] in there else None
        for name in keys.branches(made.known)
    }
    for where, package, content in layers:
        for key, value in content.items():
            path = ".".join([*filter(None, package.split(".")), str(key)])
            if path.split(".")[0] == "hydra":
                _set_for_hydra(made, path, value, where)
            else:
                assign(made, path, value, f"{where}: ")


@cache
def _typed(*chosen: tuple[str, Any]) -> Any:
    """The typed config of these groups' schemas, before any file; a sweep over groups asks for it for each job."""
    return OmegaConf.structured(Config(**dict(chosen)), flags={"no_deepcopy_set_nodes": True})


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
    elif made.branches.get(key.partition(".")[0], made.root) is None:
        return False  # the group has no choice, which is a problem of its own
    else:
        there = True
        with suppress(OmegaConfBaseException):  # what cannot be resolved is a value too, and checked later
            there = opened is None or OmegaConf.select(made.root, key) is not None
        problem = keys.wrong_sign(key, sign, there, made.known[opened or key]) or (where and no_text(key, value))
        if not problem and sign == "~":
            return False
        try:
            if not problem:
                _set(made, key, meant(key, value), opened)
                return True
        except OmegaConfBaseException:
            problem = keys.wrong_type(key, made.known[opened or key], value)
    made.bad.add(key)
    made.problems.append(where + problem)
    return False


def _set_for_hydra(made: Draft, path: str, value: Any, where: str) -> None:
    try:
        OmegaConf.update(made.hydra, path, value, merge=True)
    except OmegaConfBaseException as error:  # an interpolation that cannot be read
        made.problems.append(f"{where}: `{path}` cannot be read: {first_line(error)}.")


def _set(made: Draft, key: str, value: Any, opened: str | None) -> None:
    """Errors: OmegaConf's, for a value of another type."""
    if opened or keys.is_open(made.known[key]):
        OmegaConf.update(made.root, key, value, merge=True, force_add=True)
    else:
        parent, _, last = key.rpartition(".")
        made.branches.get(parent, made.root)[last] = value
