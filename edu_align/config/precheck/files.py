"""The config files, by Hydra's own reader; a broken or hidden one is noted, and the rest is read all the same."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra._internal.config_repository import ConfigRepository
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.importlib_resources_config_source import ImportlibResourcesConfigSource
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from edu_align.config.schema import GROUP_SCHEMAS
from edu_align.utils.errors import UserError


class Files(ConfigRepository):
    """Config folders in Hydra's order: a file of an earlier folder hides one of the same name in a later one.

    `unreadable`: a file could not be read, so that keys may seem to have no value. `instead`: what stands in for a file
    that does not exist, None for an empty one. Errors: a folder that does not exist.
    """

    def __init__(self, main: Path, others: list[Path]) -> None:
        for folder in [main, *others]:
            if not folder.is_dir():
                raise UserError(
                    f"The config folder {str(folder)!r} does not exist. Give --config-dir an existing folder."
                )
        self.sources = [FileConfigSource(main.name, str(main)), *(FileConfigSource(str(at), str(at)) for at in others)]
        self.problems: list[str] = []
        self.unreadable = False
        self.instead: dict[str, str | None] = {}
        self._loaded: dict[str | None, ConfigResult | None] = {}
        self._options: dict[str, list[str]] = {}

    def add(self, places: Any) -> None:
        """Search also the folders of `hydra.searchpath`: paths, `file://...` or `pkg://package.with.configs`."""
        for place in map(str, places if isinstance(places, list) else []):
            kind = ImportlibResourcesConfigSource if place.startswith("pkg://") else FileConfigSource
            with suppress(ValueError, AssertionError):  # no path, or a scheme that Hydra has no reader for
                source = kind(place.removeprefix("file://"), place)
                self.sources += [source] if source.available() else []
        self._loaded.clear()
        self._options.clear()

    def options(self, group: str) -> list[str]:
        """Options of a group, sorted: the names of the YAML files in its folder."""
        if group not in self._options:
            self._options[group] = self.get_group_options(group, ObjectType.CONFIG)
        return self._options[group]

    def groups(self) -> list[str]:
        """Every folder with YAML files in it, as a group's name; Hydra's own groups left out."""
        folders = [Path(source.path) for source in self.sources]
        found = {path.parent.relative_to(folder).as_posix() for folder in folders for path in folder.rglob("*.yaml")}
        return sorted(group for group in found if group != "." and group.split("/")[0] != "hydra")

    def load_config(self, config_path: str) -> ConfigResult | None:
        """A file's content and defaults list; None where there is no such file. The schemas are empty files here."""
        name = self.instead.get(config_path, config_path)
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def where(self, config_path: str) -> str:
        """How messages name a file that was loaded."""
        result = self.load_config(config_path)
        return f"{result.provider if result else ''}/{self.instead.get(config_path, config_path)}.yaml"

    def _load(self, name: str | None) -> ConfigResult | None:
        group, _, option = (name or "").rpartition("/")
        empty = ConfigResult("", "", OmegaConf.create({}), {"package": None}, [])
        if name is None or option in GROUP_SCHEMAS.get(group, {}) or name == "config_schema":
            return empty
        found = [source for source in self.sources if source.is_config(name)]
        if not found:
            return None
        empty.provider = found[0].provider
        where = f"{empty.provider}/{name}.yaml"
        for hidden in found[1:]:
            self.problems.append(
                f"{hidden.provider}/{name}.yaml: never read, because {where} has its name. Rename your file."
            )
        try:
            result = found[0].load_config(name)
            if OmegaConf.is_dict(result.config):
                lines = OmegaConf.to_container(self._extract_defaults_list(name, result.config))
                result.defaults_list = self._create_defaults_list(name, OmegaConf.create(_ours(lines)))
                return result
            self.problems.append(
                f"{where}: must hold `key: value` lines, got {type(OmegaConf.to_container(result.config)).__name__}."
            )
        except (YAMLError, ValueError, OSError, OmegaConfBaseException) as error:
            self.problems.append(f"{where}: cannot be read as YAML: {' '.join(str(error).split())}.")
        self.unreadable = True
        return empty


def _ours(lines: Any) -> list[Any]:
    """A defaults list without Hydra's own groups, options as text: also a bare `off`, which YAML reads as false."""
    found = []
    for line in lines:
        if isinstance(line, dict):
            line = {
                key: value if value is None else list(map(str, value)) if isinstance(value, list) else str(value)
                for key, value in line.items()
                if str(key).split()[-1].strip("/").split("/")[0] != "hydra"
            }
        found += [line] if line else []
    return found
