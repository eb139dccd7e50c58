"""Several experiments one after the other, each from the one before: `python -m edu_align.train experiment=tutor`."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from edu_align.config.arguments import key_of, quoted
from edu_align.config.compose import compose
from edu_align.config.schema import GROUP_SCHEMAS
from edu_align.config.text import override, text_of
from edu_align.runs.finished import check_adapter
from edu_align.runs.folder import NO_LISTENER, RunListener
from edu_align.utils.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from edu_align.runs.folder import RunFolder

FIRST_ONLY = "init_from"  # what the user starts from; later stages start from the stage before
OWN = ("experiment", "chain")  # each stage has its own


def run_chain(
    names: Sequence[str],
    overrides: Sequence[str],
    config_dirs: Sequence[Path] = (),
    listener: RunListener = NO_LISTENER,
) -> "list[RunFolder | None]":
    """Train `experiment=<name>` for each name and return the runs.

    Every stage is composed, planned and its data read before the first one runs: no stage is paid for if a later one
    cannot be.

    `overrides` go to each stage, but for `experiment` and `chain`: `init_from` goes to the first one, `run_name` gets
    the stage's name behind it, and a `trainer` key goes to the stages whose trainer has it. Errors: fewer than two
    names, and whatever is wrong with a stage's config, size or data.
    """
    from edu_align.training.run import check_ahead, run

    folders = list(config_dirs)
    composed = stages(names, overrides, folders)
    for _, config in composed[1:]:
        check_ahead(config)
    runs: list[RunFolder | None] = []
    for name, (stage, config) in zip(names, composed, strict=True):
        print(f"edu_align: stage {len(runs) + 1} of {len(names)}: {name}", flush=True)
        before = runs[-1] if runs else None
        if before is not None:
            config = compose([*stage, f"init_from={quoted(before.path)}"], folders)
        runs.append(run(config, listener))
        if runs[-1] is None:
            break  # `preview` only shows the first stage's data
    return runs


def stages(
    names: Sequence[str], overrides: Sequence[str], config_dirs: Sequence[Path] = ()
) -> "list[tuple[list[str], DictConfig]]":
    """Command line and config of each stage; see `run_chain` for how overrides reach them, and for the errors."""
    if len(names) < 2:
        raise UserError(
            f"`chain` must name at least two experiments, got {list(names)}. For one, choose experiment={names[0]}."
        )
    folders = list(config_dirs)
    words = [_words(name, overrides, first=i == 0, config_dirs=folders) for i, name in enumerate(names)]
    composed = [(stage, compose(stage, folders)) for stage in words]
    for name, (_, before), (_, after) in zip(names[1:], composed, composed[1:], strict=False):
        check_adapter(f"stage {name} of `chain`", {**before.adapter}, {**after.adapter})
    return composed


def _words(name: str, overrides: Sequence[str], first: bool, config_dirs: list[Path]) -> list[str]:
    """The command line of one stage."""
    experiment = f"experiment={name}"
    chosen = [word for word in overrides if key_of(word) == "trainer"]
    algorithm = compose([experiment, *chosen], config_dirs).trainer.algorithm
    known = {field.name for field in fields(GROUP_SCHEMAS["trainer"][f"{algorithm}_schema"])}
    words = [experiment]
    for word in overrides:
        key = key_of(word)
        if key in OWN or (key == FIRST_ONLY and not first):
            continue
        if key.startswith("trainer.") and key.split(".")[1] not in known:
            continue
        words.append(_named(word, name) if key == "run_name" else word)
    return words


def _named(word: str, stage: str) -> str:
    """`run_name=<text>` with the stage's name behind the text."""
    text = text_of("run_name", word.partition("=")[2])
    return override("run_name", text and f"{text}-{stage}")
