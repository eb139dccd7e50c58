"""What is to be talked to: a finished run or a base model, found and checked before anything heavy is imported."""

from dataclasses import dataclass
from pathlib import Path

from edu_align.config.arguments import Words, quoted
from edu_align.config.schema import Config
from edu_align.models.locate import Location, locate
from edu_align.runs.finished import check_base, require_writer, run_config
from edu_align.runs.folder import RunFolder
from edu_align.utils.errors import UserError


@dataclass(frozen=True)
class Source:
    """`run` is None for a base model; `location` is where its base lies and which one it is."""

    label: str
    config: Config
    location: Location
    run: RunFolder | None


def run_source(name: str, overrides: dict[str, str], outputs_root: str | None, accept: bool = False) -> Source:
    """The finished run `name` with the settings it was trained with, `overrides` on top.

    Errors: no such run, an unfinished one, a wrong override, a base model that is not there or is another one.
    """
    run, config = run_config(name, overrides, outputs_root, accept)
    require_writer(run, "talk to")
    location = locate(config.model, Path(config.outputs_root), config.seed)
    check_base(f"run={name}", run, location)
    return Source(run.path.resolve().name, config, location, run)


def model_source(overrides: dict[str, str], outputs_root: str | None) -> Source:
    """A base model, untrained. `overrides` has `model` or `model.path` in it. Errors: as a run's config."""
    from omegaconf import OmegaConf

    from edu_align.config.compose import compose

    root = [] if outputs_root is None else [f"outputs_root={quoted(outputs_root)}"]
    words = [f"{key}={value}" for key, value in overrides.items()]
    composed = compose([*words, *root, "data_root=null", "tracking=off"])
    config = OmegaConf.to_object(composed)
    assert isinstance(config, Config)
    return Source(config.model.name, config, locate(config.model, Path(config.outputs_root), config.seed), None)


def source_of(words: Words) -> Source:
    """The run or the base model that a command line names first."""
    return sources_of(words)[0]


def sources_of(words: Words) -> list[Source]:
    """The runs that a command line names, or its base model. Errors: neither is named."""
    outputs_root = words.own.get("outputs_root")
    if words.runs:
        return [run_source(name, words.overrides, outputs_root, words.switch("accept_changed")) for name in words.runs]
    if "model" not in words.overrides:
        raise UserError(
            "`run` is missing. Give run=<folder of a finished run, its name under outputs_root/runs, or its id>, or "
            "model=<option> for a base model."
        )
    return [model_source(words.overrides, outputs_root)]
