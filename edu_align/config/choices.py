"""Which option each group has, and the config files that this brings in, in the order they are merged.

This follows Hydra's defaults lists as far as conf/ uses them: relative and absolute entries, `override`, `optional`,
`_self_` and `# @package` headers. Entries with a package of their own (`group@package`) and Hydra's own groups are left
to Hydra.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from edu_align.config.defaults import Entry, entries_of
from edu_align.config.files import Search
from edu_align.config.schema import GROUP_SCHEMAS
from edu_align.utils.suggest import did_you_mean, listed, nearest


@dataclass(frozen=True)
class Layer:
    """What one file adds: `content` goes under `package` ("" is the root). `schema` is set instead for schemas."""

    where: str
    package: str
    content: dict[str, Any]
    schema: type | None = None


@dataclass
class Choices:
    """The options of this config by group, and what is wrong with them.

    `given` was set on the command line; `met` are the groups that a defaults list names.
    """

    search: Search
    given: dict[str, list[str]]
    of: dict[str, list[str]] = field(default_factory=dict)
    met: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def shown(self) -> dict[str, str | None]:
        return {group: ",".join(options) or None for group, options in self.of.items()}


def choose(search: Search, primary: str, given: dict[str, list[str]]) -> Choices:
    """Follow every defaults list from the file `primary`; `given` wins over `override` lines, those over defaults."""
    choices = _followed(search, primary, given, [])
    added = [group for group in given if group not in choices.met]
    return _followed(search, primary, given, added) if added else choices


def _followed(search: Search, primary: str, given: dict[str, list[str]], added: list[str]) -> Choices:
    """Choices after the groups `added` by a `+`, which come last in the defaults list, and then the rest of it."""
    choices = Choices(search, given, dict(given))
    for group in reversed(added):
        _settle(choices, Entry(group, []), None)
        for path in _paths(choices, Entry(group, [])):
            _collect(choices, path, {primary})
    _collect(choices, primary, set())
    return choices


def all_layers(choices: Choices, primary: str) -> list[Layer]:
    """Layers of the whole config: those of `primary`, then of groups that the command line adds with a `+`."""
    found = list(layers(choices, primary))
    for group in [group for group in choices.given if group not in choices.met]:
        for path in _paths(choices, Entry(group, [])):
            found += layers(choices, path, group.replace("/", "."))
    return found


def layers(choices: Choices, name: str, package: str = "") -> Iterator[Layer]:
    """Files and schemas under the config `name`, in the order they are merged."""
    group, _, option = name.rpartition("/")
    schema = GROUP_SCHEMAS.get(group, {}).get(option)
    if schema is not None:
        yield Layer(name, package, {}, schema)
    file = choices.search.read(name)
    if file is None:
        return
    package = {"_global_": "", None: package}.get(file.package, file.package or package)
    own = Layer(file.where, package, {key: value for key, value in file.content.items() if key != "defaults"})
    entries = entries_of(file.content.get("defaults"), group)
    if not any(entry.is_self for entry in entries):
        entries.append(Entry(None, [], is_self=True))
    for entry in entries:
        if entry.is_self:
            yield own
        elif not entry.override:
            inner = package
            if entry.group is not None:
                below = entry.group.removeprefix(group + "/") if group else entry.group
                inner = ".".join(part for part in (package, below.replace("/", ".")) if part)
            for path in _paths(choices, entry):
                yield from layers(choices, path, inner)


def _collect(choices: Choices, name: str, above: set[str]) -> None:
    """Settle the groups under `name`. Later lines are followed first, as Hydra does, so that an experiment wins."""
    file = choices.search.read(name)
    if file is None or name in above:
        return
    entries = entries_of(file.content.get("defaults"), name.rpartition("/")[0])
    for entry in entries:
        if entry.override and entry.group is not None:
            _check(choices, entry.group, entry.options, file.where)
            choices.of.setdefault(entry.group, entry.options)
    for entry in reversed(entries):
        if entry.override or entry.is_self:
            continue
        if entry.group is not None:
            choices.met.add(entry.group)
            _settle(choices, entry, file.where)
        elif not entry.optional and not all(_exists(choices, path) for path in entry.options):
            choices.problems.append(f"{file.where}: defaults: no config `{listed(entry.options)}`.")
        for path in _paths(choices, entry):
            _collect(choices, path, above | {name})


def _settle(choices: Choices, entry: Entry, where: str | None) -> None:
    """Give the group of `entry` its options. One that does not exist is a problem, and the nearest stands in for it."""
    group = str(entry.group)
    options = choices.of.setdefault(group, entry.options)
    if group in choices.given:
        _check(choices, group, options, None)
    elif options is entry.options and not entry.optional:
        _check(choices, group, options, where)
    valid = choices.search.options(group)
    stand_ins = [option if option in valid else nearest(option, valid) for option in options]
    known = [option for option in stand_ins if option is not None]
    choices.of[group] = known if known or not options else [option for option in entry.options if option in valid]


def _check(choices: Choices, group: str, options: list[str], where: str | None) -> None:
    valid = choices.search.options(group)
    start = f"{where}: defaults: " if where else ""
    if not valid:
        groups = choices.search.groups()
        choices.problems.append(
            f"{start}`{group}` is not a group.{did_you_mean(group, groups)} Groups: {listed(groups)}."
        )
        return
    for option in options:
        if option in valid or (where and _is_schema(group, option)):
            continue
        hint = did_you_mean(option, valid, f"{group}=")
        if where and option in ("True", "False"):
            hint = " YAML reads a bare on or off as true or false: put it in quotes."
        text = f"{start}`{group}={option}` is not an option.{hint} Options of {group}: {listed(valid)}."
        if text not in choices.problems:
            choices.problems.append(text)


def _paths(choices: Choices, entry: Entry) -> list[str]:
    if entry.group is None:
        return entry.options
    return [f"{entry.group}/{option}" for option in choices.of.get(entry.group, [])]


def _exists(choices: Choices, path: str) -> bool:
    group, _, option = path.rpartition("/")
    return _is_schema(group, option) or choices.search.read(path) is not None


def _is_schema(group: str, option: str) -> bool:
    return option in GROUP_SCHEMAS.get(group, {}) or (group == "" and option == "config_schema")
