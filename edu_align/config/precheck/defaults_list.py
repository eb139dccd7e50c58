"""Which files a config is made of, and under which keys each goes: Hydra's defaults list, misspelt options mended."""

import re
import warnings
from dataclasses import dataclass
from typing import Any

from hydra._internal.defaults_list import OverrideMetadata, Overrides, _create_defaults_list
from hydra.core.default_element import GroupDefault, ResultDefault
from hydra.errors import HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from edu_align.config.precheck.files import Files
from edu_align.config.precheck.overrides import Change
from edu_align.config.schema import GROUP_SCHEMAS
from edu_align.utils.suggest import did_you_mean, listed, nearest


@dataclass(frozen=True)
class Layer:
    """What one file adds: `content` goes under `package` ("" is the root). `schema` is set instead for schemas."""

    where: str
    package: str
    content: Any
    schema: type | None = None


@dataclass(frozen=True)
class Chosen:
    """Layers in the order they are merged, none where Hydra cannot tell; the option of each group.

    `met`: the groups that a defaults list names.
    """

    layers: list[Layer]
    options: dict[str, str | None]
    met: set[str]
    problems: list[str]


def choose(files: Files, primary: str, changes: list[Change]) -> Chosen:
    """Follow every defaults list from the file `primary`. Of several values of a group the first counts.

    An option that does not exist is a problem, and the nearest one stands in for it.
    """
    problems: list[str] = []
    given: dict[str, list[str]] = {}
    for change in changes:
        options = files.options(change.key)
        if options and change.values:
            first = None if change.sign == "~" else change.values[0]
            asked = [str(option) for option in (first if isinstance(first, list) else [first]) if option is not None]
            problems += [_no_option(files, change.key, option) for option in asked if option not in options]
            known = [option if option in options else nearest(option, options) for option in asked]
            given[change.key] = [option for option in known if option]
            if asked and not given[change.key]:
                del given[change.key]  # the files' own option instead
    lines, overrides = _lines(files, primary, given, [], problems)
    met = {group for group, override in overrides.override_metadata.items() if override.used}
    met.update(overrides.known_choices)
    if absent := [group for group in given if group not in met and lines]:
        lines, overrides = _lines(files, primary, given, absent, problems)
    layers = []
    for line in lines:
        group, _, option = str(line.config_path).rpartition("/")
        result = files.load_config(str(line.config_path))
        content = OmegaConf.to_container(result.config) if result else {}
        schema = GROUP_SCHEMAS.get(group, {}).get(option)
        layers.append(Layer(files.where(str(line.config_path)), line.package or "", content, schema))
    shown = {group: _stand_in(files, group, option) for group, option in overrides.known_choices.items()}
    shown.update((group, ",".join(names)) for group, names in given.items() if len(names) > 1)
    return Chosen(layers, shown, met, list(dict.fromkeys(problems)))


def _lines(
    files: Files, primary: str, given: dict[str, list[str]], added: list[str], problems: list[str]
) -> tuple[list[ResultDefault], Overrides]:
    """Hydra's list, the groups `added` last. A file that is missing is noted, replaced, and Hydra is asked again."""
    overrides = Overrides(files, [])
    for group, names in given.items():
        value: Any = names[0] if len(names) == 1 else names or None
        if group not in added:
            overrides.override_choices[group] = value
            overrides.override_metadata[group] = OverrideMetadata(external_override=True)
        elif names:
            overrides.append_group_defaults.append(GroupDefault(group=group, value=value, external_append=True))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lines, _ = _create_defaults_list(files, primary, overrides, prepend_hydra=False, skip_missing=True)
    except MissingConfigException as error:
        files.problems.append(_missing(files, error, overrides))
        return _lines(files, primary, given, added, problems)
    except (HydraException, OmegaConfBaseException, ValueError, RecursionError) as error:
        problems.append(" ".join(str(error).split()))
        return [], overrides
    return lines, overrides


def _missing(files: Files, error: MissingConfigException, overrides: Overrides) -> str:
    """The problem of a file that a defaults list names and that is not there; another stands in for it from now on."""
    path = str(error.missing_cfg_file)
    group, _, option = path.rpartition("/")
    inside = re.match(r"In '(.*?)'", str(error))
    override = overrides.override_metadata.get(group)
    where = files.where((override and override.containing_config_path) or (inside.group(1) if inside else ""))
    if error.options is None:  # the line names a file and no group
        files.instead[path] = None
        return f"{where}: defaults: no config `{path}`."
    near = nearest(option, files.options(group))
    files.instead[path] = near and f"{group}/{near}"
    return f"{where}: defaults: {_no_option(files, group, option, in_file=True)}"


def not_a_group(written: str, group: str, groups: list[str]) -> str:
    """The problem of a group that does not exist; `written` is how it was written."""
    return f"`{written}` is not a group.{did_you_mean(group, groups)} Groups: {listed(groups)}."


def _no_option(files: Files, group: str, option: str, in_file: bool = False) -> str:
    options = files.options(group)
    if not options:
        return not_a_group(group, group, files.groups())
    hint = did_you_mean(option, options, f"{group}=")
    if in_file and option in ("True", "False"):
        hint = " YAML reads a bare on or off as true or false: put it in quotes."
    return f"`{group}={option}` is not an option.{hint} Options of {group}: {listed(options)}."


def _stand_in(files: Files, group: str, option: str | None) -> str | None:
    path = files.instead.get(f"{group}/{option}", option)
    return path and path.rpartition("/")[2]
