"""The folders that config files come from, and the files in them, read as plain values."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from edu_align.errors import UserError

_PACKAGE = re.compile(r"^\s*#\s*@package\s+(\S+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class ConfigFile:
    """One YAML file: `where` is how messages name it, `package` its `# @package` header (None: the group's)."""

    where: str
    content: dict[str, Any]
    package: str | None


@dataclass
class Search:
    """Config folders in Hydra's order: a file of an earlier folder hides one of the same name in a later one.

    `unreadable` says that a file could not be read, so that keys may seem to have no value.
    """

    folders: list[tuple[str, Path]]
    problems: list[str] = field(default_factory=list)
    unreadable: bool = False
    _read: dict[str, ConfigFile | None] = field(default_factory=dict)

    def read(self, name: str) -> ConfigFile | None:
        """The file `<name>.yaml`, or None. A file that cannot be read is a problem and counts as empty."""
        if name not in self._read:
            found = [(f"{label}/{name}.yaml", folder / f"{name}.yaml") for label, folder in self.folders]
            found = [(where, path) for where, path in found if path.is_file()]
            self._read[name] = self._parse(*found[0]) if found else None
            for where, _ in found[1:]:
                self.problems.append(f"{where}: never read, because {found[0][0]} has its name. Rename your file.")
        return self._read[name]

    def options(self, group: str) -> list[str]:
        """Options of a group, sorted: the names of the YAML files in its folder."""
        return sorted({path.stem for _, folder in self.folders for path in (folder / group).glob("*.yaml")})

    def groups(self) -> list[str]:
        """Every folder with YAML files in it, as a group's name; Hydra's own groups left out."""
        found = {
            path.parent.relative_to(folder).as_posix() for _, folder in self.folders for path in folder.rglob("*.yaml")
        }
        return sorted(group for group in found if group != "." and group.split("/")[0] != "hydra")

    def add(self, given: Any, primary: str) -> None:
        """Search also the folders of `hydra.searchpath`: `given` on the command line, else those of the primary."""
        file = self.read(primary)
        node = file.content.get("hydra") if file else None
        places = given if given is not None else node.get("searchpath") if isinstance(node, dict) else None
        for place in places if isinstance(places, list) else []:
            folder = _folder(str(place))
            if folder is not None and folder.is_dir():
                self.folders.append((str(folder), folder))
                self._read.clear()

    def _parse(self, where: str, path: Path) -> ConfigFile:
        try:
            text = path.read_text(encoding="utf-8")
            content = yaml.load(text, Loader=_loader())
        except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            self.unreadable = True
            self.problems.append(f"{where}: cannot be read as YAML: {' '.join(str(error).split())}.")
            return ConfigFile(where, {}, None)
        if content is not None and not isinstance(content, dict):
            self.unreadable = True
            self.problems.append(f"{where}: must hold `key: value` lines, got {type(content).__name__}.")
        header = _PACKAGE.search(text)
        return ConfigFile(where, content if isinstance(content, dict) else {}, header.group(1) if header else None)


def search(main: Path, others: list[Path]) -> Search:
    """Search `main`, then each of `others`. Raises `UserError` where a folder does not exist."""
    for folder in [main, *others]:
        if not folder.is_dir():
            raise UserError(f"The config folder {str(folder)!r} does not exist. Give --config-dir an existing folder.")
    return Search([(main.name, main), *((str(folder), folder) for folder in others)])


def _folder(place: str) -> Path | None:
    """The folder of a search path entry: `file://...`, a plain path, or `pkg://package.with.configs`."""
    if not place.startswith("pkg://"):
        return Path(place.removeprefix("file://"))
    from importlib.util import find_spec

    name, _, inner = place.removeprefix("pkg://").replace("/", ".").partition(".")
    spec = find_spec(name)
    found = list(spec.submodule_search_locations or []) if spec is not None else []
    return Path(found[0], *inner.split(".")) if found else None


def _loader() -> Any:
    """YAML as OmegaConf reads it (1e-4 is a number, dates are text, a key twice is an error), in C where possible."""
    from omegaconf._utils import get_yaml_loader

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        yaml_implicit_resolvers = get_yaml_loader().yaml_implicit_resolvers

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key, _ in node.value:
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} twice", key.start_mark)
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    return Loader
