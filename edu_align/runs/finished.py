"""Opening a finished run: its config as it was trained, and whether a base model is the one that its adapter fits."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edu_align.config.arguments import quoted
from edu_align.config.schema import Config
from edu_align.models.content import base_content, same_base
from edu_align.models.locate import Location, require_adapter
from edu_align.runs.folder import RunFolder, find_run
from edu_align.utils.errors import UserError
from edu_align.utils.words import value_word

# A finished run's data is not read, so it may have moved since.
ADAPTER = ("rank", "alpha", "dropout", "target_modules", "args")  # what an adapter is made with, and keeps
REWARD = "reward"  # the trainer of a run that scores text and writes none
UNREAD = {"data_root": "null", "dataset.path": "null", "dataset.sources": "[edu_tutor]"}


def run_config(
    name: str, overrides: dict[str, str], outputs_root: str | None, accept: bool = False, reads_data: bool = False
) -> tuple[RunFolder, Config]:
    """The finished run `name` and its config with `overrides` on top; its base model is not looked for.

    Unless the caller `reads_data`, where that lies is left out.
    """
    from edu_align.config.stored import stored_config

    run = find_run("run", name, Path(outputs_root or "outputs"), accept)
    given = {key: value for key, value in overrides.items() if key != "hardware"}
    root = {} if outputs_root is None else {"outputs_root": quoted(outputs_root)}
    preset = _preset(overrides["hardware"]) if "hardware" in overrides else {}
    unread = {} if reads_data else UNREAD
    return run, stored_config(run.path / "config.yaml", {**unread, **root, **preset, **given})


def check_base(key: str, run: RunFolder, location: Location, starts: bool = False) -> None:
    """Raise UserError where `location` is not the base model that `run`, which `key` names, was trained on.

    `starts`: a new run starts from it, on the base at `location`.
    """
    base, model = run.record["base_model"], run.record["model"]
    if same_base(base, location.identity):
        if base.startswith("folder:") and base_content(base) == base:
            print(f"edu_align: `{key}` was made before all bytes of a base counted: of {base} the name is compared")
        return
    loads, way_out = "its settings now load", f" (model={model}). Put it back, or set model.path=<where it is now>."
    if starts:
        loads, way_out = "this one loads", f": choose the same model (that run used model={model})."
    raise UserError(
        f"`{key}`: that run was trained on {base}, and {loads} {location.identity}. An adapter only fits its own "
        f"base{way_out}"
    )


def check_start(config: Config, start: RunFolder, location: Location) -> None:
    """Raise UserError where a run of `config` on the base at `location` cannot go on from the adapter of `start`."""
    key, adapter = f"init_from={config.init_from}", start.record["adapter"]
    _check_head(config, key, start)
    check_base(key, start, location, starts=True)
    if adapter != config.adapter.name:
        raise UserError(
            f"`{key}`: that run trained adapter={adapter}, got adapter={config.adapter.name}. Use adapter={adapter}."
        )
    check_adapter(f"`{key}`", adapter_of(start), asdict(config.adapter))
    if adapter == "lora":
        require_adapter(start.weights)


def _check_head(config: Config, key: str, start: RunFolder) -> None:
    """Errors: text is to be learned from a reward model, or a head is to go on that reads replies otherwise."""
    if start.record["trainer"] != REWARD:
        return
    if config.trainer.writes:
        raise UserError(
            f"`{key}` is a reward model: it scores replies and writes none, so trainer={config.trainer.algorithm} "
            "cannot go on from it. Start from an SFT or DPO run, or set trainer=reward."
        )
    pooling, given = trained_with(start, "trainer").get("pooling"), getattr(config.trainer, "pooling", None)
    if pooling != given:
        raise UserError(
            f"`{key}`: its head reads trainer.pooling={pooling}, got trainer.pooling={given}. Set "
            f"trainer.pooling={pooling}."
        )


def require_writer(run: RunFolder, command: str) -> None:
    """Raise UserError where `run` is a reward model, and `command` needs one that writes text."""
    if run.record.get("trainer") == REWARD:
        name = run.path.resolve().name
        raise UserError(
            f"`run={name}` is a reward model: it scores replies and writes none, so there is nothing to {command}. "
            f"Score a tutor's replies with it: python -m edu_align.evaluate run=<run> reward={name}."
        )


def check_adapter(what: str, kept: dict[str, Any], given: dict[str, Any]) -> None:
    """Raise UserError where the keys of `adapter` differ between a run (`kept`) and one that starts from it."""
    kept = {"args": {}, **kept} if kept else {}  # a run of before there were any
    wrong = [name for name in ADAPTER if name in kept and given["name"] != "full" and kept[name] != given[name]]
    if wrong:
        raise UserError(
            f"{what}: the adapter goes on as it is, with {_words(kept, wrong)}, got {_words(given, wrong)}. Set "
            f"{_words(kept, wrong)}, or start from the base without init_from."
        )


def adapter_of(run: RunFolder) -> dict[str, Any]:
    """The keys of `adapter` that a run was trained with; empty where it keeps no config."""
    return trained_with(run, "adapter")


def trained_with(run: RunFolder, group: str) -> dict[str, Any]:
    """The keys of a group that a run was trained with; empty where it keeps no config."""
    from omegaconf import OmegaConf

    from edu_align.config.stored import read_config

    path = run.path / "config.yaml"
    stored: Any = OmegaConf.to_container(read_config(path)) if path.is_file() else {}
    return stored.get(group) or {}


def _words(adapter: dict[str, Any], names: list[str]) -> str:
    return " ".join(f"adapter.{name}={value_word(adapter[name], inside='')}" for name in names)


def _preset(name: str) -> dict[str, str]:
    """The keys of `hardware=<name>`, for a machine other than the one that trained."""
    from edu_align.config.compose import compose

    preset = compose([f"hardware={name}", "data_root=null"]).hardware
    # The device batch belongs to training and is tied to its batch size.
    return {f"hardware.{key}": json.dumps(preset[key]) for key in preset if key != "per_device_batch_size"}
