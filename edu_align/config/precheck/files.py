"""The config files as Hydra finds them; a broken or hidden one is noted, and the rest is read all the same."""

from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader
from omegaconf.errors import OmegaConfBaseException

from edu_align.config.schema import GROUP_SCHEMAS
from edu_align.utils.errors import UserError
from edu_align.utils.words import did_you_mean, listed

_IN_C: tuple[type, ...] = (yaml.CSafeLoader,) if yaml.__with_libyaml__ else ()


class _Loader(*_IN_C, get_yaml_loader()):  # type: ignore[misc]
    """OmegaConf's loader over the parser in C, where PyYAML has it: an eighth of the time."""


class Files(ConfigRepository):
    """Config folders in Hydra's order: a file of an earlier folder hides one of the same name in a later one.

    `problems`: of the files read so far. Errors: a folder that does not exist.
    """

    def __init__(self, main: Path, others: list[Path]) -> None:
        for folder in [main, *others]:
            if not folder.is_dir():
                raise UserError(f"The config folder '{folder}' does not exist. Give --config-dir an existing folder.")
        self.sources = [FileConfigSource(main.name, str(main)), *(FileConfigSource(str(at), str(at)) for at in others)]
        self.problems: list[str] = []
        self._loaded: dict[str, ConfigResult | None] = {}

    @cached_property
    def groups(self) -> list[str]:
        """Every folder with YAML files in it, as a group's name; Hydra's own groups left out."""
        folders = [Path(source.path) for source in self.sources]
        found = {path.parent.relative_to(folder).as_posix() for folder in folders for path in folder.rglob("*.yaml")}
        return sorted(group for group in found if group != "." and group.split("/")[0] != "hydra")

    def load_config(self, config_path: str) -> ConfigResult | None:
        """A file's content and defaults list, `provider` its name in messages; empty for a schema, None for no file."""
        if config_path not in self._loaded:
            self._loaded[config_path] = self._load(config_path)
        return self._loaded[config_path]

    def _load(self, name: str) -> ConfigResult | None:
        group, _, option = name.rpartition("/")
        empty: Any = ConfigResult("", "", {}, {"package": None}, [])  # type: ignore[arg-type]
        if option in GROUP_SCHEMAS.get(group, {}) or name == "config_schema":
            return empty
        found = [source for source in self.sources if source.is_config(name)]
        if not found:
            return None
        where, *hidden = [f"{source.provider}/{name}.yaml" for source in found]
        self.problems += [f"{other}: never read, because {where} has its name. Rename your file." for other in hidden]
        try:
            place = Path(found[0].path.removeprefix("file://"), found[0]._normalize_file_name(name))
            with place.open(encoding="utf-8") as file:
                content: Any = yaml.load(file, Loader=_Loader)
                file.seek(0)
                header = ConfigSource._get_header_dict(file.read())
            if isinstance(content, dict | None):
                content = content or {}
                lines = OmegaConf.create([*map(_as_text, _defaults_list(content))])
                defaults = self._create_defaults_list(name, lines)
                config: Any = content  # of it Hydra's list of files takes the defaults alone
                return ConfigResult(where, "", config, header, defaults)
            self.problems.append(f"{where}: must hold `key: value` lines, got {type(content).__name__}.")
        except (yaml.YAMLError, ValueError, OSError, OmegaConfBaseException) as error:
            self.problems.append(f"{where}: cannot be read as YAML: {' '.join(str(error).split())}.")
        return empty

    def no_option(self, group: str, option: str) -> str:
        """The problem of an option that does not exist."""
        options = self.get_group_options(group)
        hint = did_you_mean(option, options, f"{group}=")
        return f"`{group}={option}` is not an option.{hint} Options of {group}: {listed(options)}."

    def no_group(self, group: str) -> str:
        """The problem of a group that does not exist; behind an `@` may stand the package it was asked for."""
        hint = did_you_mean(group.partition("@")[0], self.groups)
        return f"`{group}` is not a group.{hint} Groups: {listed(self.groups)}."


def _defaults_list(content: dict[Any, Any]) -> list[Any]:
    """Take the defaults list out of a file's content."""
    lines = content.pop("defaults", [])
    if not isinstance(lines, list):
        raise ValueError(f"its defaults must be a list of lines that begin with a dash, got {lines!r}")
    return lines


def _as_text(line: Any) -> Any:
    """A line of a defaults list with its option as text, also where that is a bare `off`, which YAML reads as false."""
    if not isinstance(line, dict):
        return line
    return {str(key): str(option) if isinstance(option, int | float) else option for key, option in line.items()}
