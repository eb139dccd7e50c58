"""From a command line to a config: where the files lie, the strict check, Hydra, and errors as one message.

Nothing heavy is imported here, and Hydra itself only once `--help` is ruled out.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edu_align.config.arguments import key_of, quoted
from edu_align.config.comments import PRIMARY, conf_dir
from edu_align.utils.errors import UserError
from edu_align.utils.secrets import redacted

if TYPE_CHECKING:
    from omegaconf import DictConfig

VERSION_BASE = "1.3"


def compose(overrides: list[str], config_dirs: list[Path] | None = None) -> "DictConfig":
    """The config that `overrides` give, as a run sees it: resolved, read-only, valid.

    `config_dirs` are searched after edu_align's own folder. It is an OmegaConf config typed by the schemas.
    Raises `UserError` that lists every problem.
    """
    from edu_align.config.text import hydra_words

    others = [Path(folder).resolve() for folder in config_dirs or []]
    overrides = hydra_words(overrides, [conf_dir(), *others], several=False)
    check_words(overrides, conf_dir(), others)
    register()
    cfg, preset = _composed(overrides, others)
    return settled(cfg, Made(overrides, others, preset))


def of_this_machine(typed: list[str], main: Path, others: list[Path], primary: str) -> list[str]:
    """The words that the machine's own settings add to those of a command line.

    A key that some options of its group do not have (`trainer.beta`) is added where the chosen one has it.
    """
    from edu_align.config.keys import owners
    from edu_align.config.machine_settings import beside, use
    from edu_align.config.text import words_of

    found = beside(typed)
    if any(map(owners, found)):
        from edu_align.config.precheck.draft import draft
        from edu_align.config.precheck.files import Files
        from edu_align.config.precheck.overrides import read_all

        files = Files(main, others)
        everywhere = {key: value for key, value in found.items() if not owners(key)}
        known = draft(files, primary, read_all([*words_of(everywhere), *typed], files)[0]).known
        found = {key: value for key, value in found.items() if key in everywhere or key in known}
    use(found)
    return words_of(found)


class Made(NamedTuple):
    """What made a config: the `words` of a command line, config `folders` besides edu_align's, and `model=<preset>`."""

    words: list[str]
    folders: list[Path]
    preset: str


def _composed(overrides: list[str], others: list[Path]) -> "tuple[DictConfig, str]":
    """What Hydra makes of the words, neither resolved nor checked, and which model preset that has."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import open_dict

    path = ",".join(quoted(f"file://{folder}") for folder in others)
    words = [*overrides, f"hydra.searchpath=[{path}]"] if others else overrides
    around = GlobalHydra.instance().hydra  # inside a job of Hydra's there is one, and it takes only one
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base=VERSION_BASE):
            cfg = hydra_compose(PRIMARY, words, return_hydra_config=True)
        preset = str(cfg.hydra.runtime.choices.model)
        with open_dict(cfg):
            del cfg.hydra
        return cfg, preset
    except Exception as error:
        raise as_user_error(error) from error
    finally:
        GlobalHydra.instance().hydra = around


def given() -> tuple[list[str], list[Path]]:
    """What the job that runs now was given: its overrides, and the config folders besides edu_align's own."""
    made = _made()
    return made.words, made.folders


def _made() -> Made:
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    folders = [Path(source.path) for source in hydra.runtime.config_sources if source.schema == "file"]
    others = [folder for folder in folders if folder != conf_dir()]
    return Made(list(hydra.overrides.task), others, str(hydra.runtime.choices["model"]))


def choices() -> dict[str, str]:
    """The option of each group that the job that runs now was given: `{"model": "tiny", ...}`."""
    from hydra.core.hydra_config import HydraConfig

    return {group: str(option) for group, option in HydraConfig.get().runtime.choices.items()}


def alone() -> bool:
    """Whether the job that runs now is no job of a sweep."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return bool(HydraConfig.get().mode == RunMode.RUN)


def settled(cfg: "DictConfig", made: Made | None = None) -> "DictConfig":
    """A copy of `cfg` with every interpolation resolved, read-only. Raises `UserError` where a rule is broken.

    The model group is what `own_model` makes of it. `made` says what made it: Hydra's job, unless given.
    """
    from copy import deepcopy

    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from edu_align.config.rules import problems
    from edu_align.config.text import as_meant

    copy = deepcopy(cfg)
    as_meant(copy)
    made = made or _made()
    own_model(copy, made.preset, [conf_dir(), *made.folders], made.words, partial(_model_of, made.folders))
    _refuse(problems(copy))
    try:
        OmegaConf.resolve(copy)
    except OmegaConfBaseException as error:  # `${hydra:...}`, which only Hydra resolves
        raise UserError(f"`{error.full_key}` cannot be resolved: {' '.join(str(error).split())}.") from None
    OmegaConf.set_struct(copy, True)
    OmegaConf.set_readonly(copy, True)
    return copy


def _model_of(folders: list[Path], words: list[str]) -> "DictConfig":
    model: DictConfig = _composed(words, folders)[0].model
    return model


def check_words(
    overrides: list[str], main: Path, others: list[Path], multirun: bool = False, primary: str = PRIMARY
) -> None:
    """Raise `UserError` with all that is wrong with a command line and the files that it names."""
    from edu_align.config.precheck.command_line import check
    from edu_align.config.precheck.files import Files

    _refuse(check(overrides, Files(main, others), multirun, primary.removesuffix(".yaml")))


def _refuse(problems: list[str]) -> None:
    problems = [redacted(problem) for problem in problems]
    if len(problems) == 1:
        raise UserError(problems[0])
    if problems:
        raise UserError(in_one_message(problems, "problem", "in the config"))


def in_one_message(items: list[str], noun: str, rest: str) -> str:
    plural = "" if len(items) == 1 else "s"
    lines = [item.replace("\n", "\n  ") for item in items]
    return "\n  - ".join([f"{len(items)} {noun}{plural} {rest}:", *lines])


def as_user_error(error: Exception, words: Sequence[str] = ()) -> Exception:
    """An error of Hydra on a config, as a `UserError`; anything else is returned as it is.

    `words`: the command line, where no job has begun yet. Hydra does not check the values of its own keys, and where
    some are given whatever it raises comes from them.
    """
    from hydra.errors import HydraException
    from yaml import YAMLError

    if isinstance(error, YAMLError):  # what the parser in C reads (a tab behind a colon) and that in Python does not
        return UserError(f"a config file cannot be read as YAML: {' '.join(str(error).split())}.")
    own = [word for word in words if word.lstrip("+~").startswith("hydra")]
    if isinstance(error, HydraException):
        parts = [str(part).strip() for part in (error, error.__cause__) if part is not None]
        said = " ".join(" ".join(parts).split())
        unnamed = [word for word in own if key_of(word) not in said]
        return UserError(f"`{' '.join(unnamed)}`: {said}" if unnamed else said)
    if isinstance(error, UserError) or not own:
        return error
    what = f"{type(error).__name__}: {error}".strip(": ").split("\n")[0]
    return UserError(
        f"`{' '.join(own)}`: Hydra cannot work with this ({what[:300]}). --hydra-help explains its keys; "
        "HYDRA_FULL_ERROR=1 shows where it stopped."
    )


def register() -> None:
    """Put every schema into Hydra's ConfigStore; the YAML files of a group start their defaults with it."""
    from edu_align.config.schema import GROUP_SCHEMAS, Config

    _store("config_schema", Config)
    for group, schemas in GROUP_SCHEMAS.items():
        for name, schema in schemas.items():
            _store(name, schema, group)


@cache
def _store(name: str, schema: type, group: str | None = None) -> None:
    """Mappings for keys of the user's own take new ones: `dataset.columns={prompt: question}`. Once a process."""
    from dataclasses import fields

    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    from edu_align.config.keys import is_open

    node = OmegaConf.structured(schema)
    for item in fields(schema):
        if is_open(item.type):
            OmegaConf.set_struct(node[item.name], False)
    ConfigStore.instance().store(name, node, group)


NO_PRESET = "model=model_schema"  # Hydra's word for the schema's defaults alone
OURS = ("adapter", "model", "export")  # names that a run gives the folders in it


def own_model(
    cfg: "DictConfig",
    choice: str,
    folders: Sequence[Path],
    words: Sequence[str],
    model_of: Callable[[list[str]], "DictConfig"],
) -> None:
    """Make `cfg.model`, composed from `words`, say nothing that only the own model of its preset is known to be.

    `choice` is the preset and `folders` hold them; `model_of` composes a command line and returns its model group. A
    preset on top of another one (`defaults: [smollm2, _self_]`) that names its own path has its own keys alone.
    """
    from omegaconf import OmegaConf, flag_override
    from omegaconf.errors import OmegaConfBaseException

    try:
        path = cfg.model.path
    except OmegaConfBaseException:  # no choice, or a value that cannot be resolved, which the rules refuse
        return
    preset = _preset(choice, folders)
    if path is None or preset is None:
        return
    by_hand = [*(word for word in words if key_of(word) != "model"), NO_PRESET]
    model: Any = cfg.model
    if path != (preset["path"] if "path" in preset else model_of([f"model={choice}"]).path):
        model = model_of(by_hand)
    elif "path" in preset and set(model) - set(preset):
        model = OmegaConf.merge(model_of(by_hand), {key: model[key] for key in preset if key in model})
    with flag_override(cfg, ["struct", "readonly"], False):
        cfg.model = model
        cfg.model.name = model.name or name_of(path)


def _preset(choice: str, folders: Sequence[Path]) -> "dict[str, Any] | None":
    """The keys that the preset's own file sets; None where it is no file of these folders."""
    from omegaconf import OmegaConf

    for folder in folders:
        file = folder / "model" / f"{choice.removesuffix('.yaml')}.yaml"
        if file.is_file():
            content: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
            return {key: value for key, value in content.items() if key != "defaults"} if content else {}
    return None


def name_of(path: str) -> str:
    """The name of the model at a hub id, folder or .gguf file, fit for a folder's name.

    "Qwen/Qwen3-4B" -> "Qwen3-4B"; ".../models--Qwen--Qwen3-4B/snapshots/<commit>" -> "Qwen3-4B";
    "outputs/runs/my_run/model" -> "my_run".
    """
    parts = [part for part in Path(path).expanduser().parts if part not in ("/", ".", "..")]
    if len(parts) > 2 and parts[-2] == "snapshots" and parts[-3].startswith("models--"):
        parts = parts[-3].split("--")
    while len(parts) > 1 and parts[-1] in OURS:
        parts.pop()
    last = parts[-1].removesuffix(".gguf") if parts else ""
    return re.sub(r"[^\w.-]+", "-", last).strip(".-") or "own"
