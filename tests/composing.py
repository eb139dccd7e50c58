"""Configurations of the tests, composed in a fifth of the time: Hydra reads each file of conf/ once a process."""

import copy
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.importlib_resources_config_source import ImportlibResourcesConfigSource
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf, read_write

from edu_align.config.comments import conf_dir
from edu_align.config.compose import Made, register, settled
from edu_align.config.compose import _composed as hydra_config
from edu_align.config.text import for_hydra

_made: dict[tuple[str, ...], Any] = {}


def composed(*words: str) -> Any:
    """The configuration of these words. Composing takes long: what names no file is composed once a process, for any
    `outputs_root`.
    """
    roots = [word for word in words if word.startswith("outputs_root=")]
    rest = tuple(word for word in words if word not in roots)
    if any("/" in word for word in rest):
        return _unchecked(words)
    if rest not in _made:
        _made[rest] = _unchecked(rest)
    found = copy.deepcopy(_made[rest])
    if roots:
        with read_write(found):
            found.outputs_root = roots[-1].partition("=")[2]
    return found


def config_of(*words: str) -> Any:
    """The configuration of these words as dataclasses, as the package's functions take it."""
    return OmegaConf.to_object(composed(*words))


def _unchecked(words: tuple[str, ...]) -> Any:
    """The configuration of words that are right: half of a compose is the search for all that could be wrong, and most
    of the rest the files of the chosen groups (`trainer=dpo`).
    """
    typed = for_hydra(list(words), several=False)
    chosen = [word for word in typed if (conf_dir() / word.partition("=")[0]).is_dir()]
    of_groups, preset = _of_groups(*chosen)
    made = copy.deepcopy(of_groups)
    ConfigLoaderImpl._apply_overrides_to_config([_parsed(word) for word in typed if word not in chosen], made)
    return settled(made, Made(typed, [], preset))


@cache
def _of_groups(*words: str) -> tuple[Any, str]:
    register()
    return hydra_config(list(words), [])


@cache
def _parsed(word: str) -> Any:
    return OverridesParser.create().parse_override(word)


def read_files_once(patch: pytest.MonkeyPatch) -> None:
    """Hydra looks for the files of conf/ and for its own, and reads them, once; those of any other folder each time."""
    for source in (FileConfigSource, ImportlibResourcesConfigSource):
        patch.setattr(source, "is_config", _once(source.is_config))
        patch.setattr(source, "is_group", _once(source.is_group))
        patch.setattr(source, "list", _once(source.list))
        patch.setattr(source, "load_config", _once(source.load_config))


def _once(read: Callable[..., Any]) -> Callable[..., Any]:
    kept: dict[tuple[Any, ...], Any] = {}

    @wraps(read)
    def found(self: Any, *arguments: Any, **named: Any) -> Any:
        if self.scheme() == "file" and self.path != str(conf_dir()):
            return read(self, *arguments, **named)
        key = (self.path, self.provider, *arguments, *named.values())
        if key not in kept:
            kept[key] = read(self, *arguments, **named)
        return copy.deepcopy(kept[key])

    return found
