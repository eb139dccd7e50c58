"""What `init_from` names: a finished run, or the folder of an adapter that somebody else trained with PEFT.

Such a folder has adapter_config.json and adapter_model.safetensors, and no run.json. What its config says wins over the
keys of `adapter`; it is read as others write it: null is absent, and fields of a newer PEFT are named and left out.
"""

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edu_align.config.peft_options import PASSED, REFUSED, lora_fields, owned, problems_of_adapter
from edu_align.config.schema import AdapterConfig, Config
from edu_align.models.content import trained_content
from edu_align.models.locate import require_adapter
from edu_align.runs.finished import check_adapter
from edu_align.runs.folder import RunFolder, find_run
from edu_align.utils.errors import UserError
from edu_align.utils.files import read_json
from edu_align.utils.hashing import records_in
from edu_align.utils.words import listed

CONFIG = "adapter_config.json"
# Starts that leave the base as it is, so that the trained adapter is one like any other.
PLAIN_STARTS = (True, False, "gaussian", "eva", "orthogonal")
DEFAULTS = {"bias": "none", "megatron_core": "megatron.core", "qalora_group_size": 16}  # PEFT's, where not empty
EMPTY: tuple[Any, ...] = (None, False, {}, [], "")


PARENT = "adapter-"  # begins the parent's id of a run that started from an adapter that no run made


def is_foreign(record: dict[str, Any]) -> bool:
    """Whether the run with this run.json started from an adapter that no run made."""
    return str(record.get("parent") or "").startswith(PARENT)


class AdapterFolder(RunFolder):
    """A folder that only holds an adapter, in the place of the run that a training starts from."""

    @property
    def weights(self) -> Path:
        return self.path


def find_start(config: Config) -> RunFolder | None:
    """The run or the adapter that `init_from` names; None where it is null. Errors: neither, or one that is damaged."""
    value, outputs = config.init_from, Path(config.outputs_root)
    if value is None:
        return None
    folder = Path(value).expanduser()
    adapter = os.path.isfile(folder / CONFIG)  # False for what is no path at all
    if not adapter or os.path.exists(folder / "run.json"):
        return find_run("init_from", value, outputs, config.accept_changed)
    if (folder.parent / "run.json").exists():
        raise UserError(f"`init_from={value}`: that is the adapter of a run. Give the run: init_from={folder.parent}.")
    require_adapter(folder)
    content = trained_content(folder, records_in(outputs))
    return AdapterFolder(folder, {"id": f"{PARENT}{content[:12]}", "adapter": "lora", "init_from": None})


def settled_adapter(config: Config, start: RunFolder | None) -> Config:
    """`config` with the keys of `adapter` that a foreign adapter has; says what they are. Otherwise `config` itself.

    Errors: what cannot be trained on from here, and keys that were set to something else.
    """
    if not isinstance(start, AdapterFolder):
        return config
    key = f"init_from={config.init_from}"
    if config.adapter.name != "lora":
        raise UserError(f"`{key}` is an adapter, got adapter={config.adapter.name}. Choose adapter=lora.")
    if config.hardware.sharding != "none":
        raise UserError(
            f"`{key}` is not a run, and hardware.sharding={config.hardware.sharding}. Set hardware.sharding=none."
        )
    stored = read_json(start.path / CONFIG)
    if not isinstance(stored, dict):
        raise UserError(f"`{key}`: {start.path / CONFIG} holds no JSON object. Put that file back.")
    found = _read(f"`{key}`: {CONFIG}", {name: value for name, value in stored.items() if value is not None})
    found = replace(found, lora_plus_ratio=config.adapter.lora_plus_ratio)
    changed = {name: value for name, value in asdict(config.adapter).items() if value != _preset()[name]}
    check_adapter(f"`{key}`", asdict(found), asdict(found) | changed)
    print(f"edu_align: init_from is an adapter without a run: it goes on as it is, {_said(found)}", flush=True)
    print("edu_align: what it was trained on is not known here: held-out records may be among it", flush=True)
    base = stored.get("base_model_name_or_path")
    if base and base != config.model.path:
        print(f"edu_align: it names {base} as its base model; this run loads {config.model.path or config.model.name}")
    return replace(config, adapter=found)


def _read(what: str, stored: dict[str, Any]) -> AdapterConfig:
    """The keys of `adapter` that a PEFT config says. `what` begins an error."""
    kind, task = str(stored.get("peft_type")), stored.get("task_type")
    if kind != "LORA":
        raise UserError(f"{what} says peft_type={kind}, and edu_align trains LoRA. Begin with a new adapter instead.")
    if task not in (None, "CAUSAL_LM"):
        raise UserError(f"{what} says task_type={task}: that adapter belongs to a model with another head than text.")
    unknown = sorted(stored.keys() - lora_fields()) if lora_fields() else []
    if unknown:
        print(
            f"edu_align: {what.replace('`', '')}: left out, this version of PEFT does not know them: {listed(unknown)}"
        )
    start = stored.get("init_lora_weights", True)
    if start not in PLAIN_STARTS:
        raise UserError(
            f"{what} says init_lora_weights={start}: that adapter stands on changed weights, not on "
            "its base. Save it for the "
            "base first (PEFT's save_pretrained with path_initial_model_for_weight_conversion)."
        )
    args = {name: value for name, value in stored.items() if name in PASSED and value != PASSED[name].default}
    args.pop("init_lora_weights", None)
    args = {name: value for name, value in args.items() if value not in EMPTY}
    other = [name for name in REFUSED if stored.get(name) not in EMPTY and stored.get(name) != DEFAULTS.get(name)]
    told = {"task_type", "peft_type", "inference_mode", "peft_version", "auto_mapping", "runtime_config"}
    if wrong := [name for name in other if name not in told]:
        raise UserError(
            f"{what} says {wrong[0]}={stored[wrong[0]]}, which cannot be trained on here: {REFUSED[wrong[0]]}."
        )
    found = {name: stored.get(name) for name in owned() if name in ("r", "lora_alpha", "target_modules")}
    if (
        not isinstance(found["r"], int)
        or found["lora_alpha"] != int(found["lora_alpha"] or 0)
        or not found["target_modules"]
    ):
        raise UserError(f"{what} must say r and lora_alpha as whole numbers, and target_modules, got {found}.")
    targets = found["target_modules"]
    adapter = AdapterConfig(
        "lora", found["r"], int(found["lora_alpha"]), float(stored.get("lora_dropout") or 0.0),
        sorted(targets) if isinstance(targets, list) else targets, 1.0, args,
    )  # fmt: skip
    values = {f"adapter.{name}": value for name, value in asdict(adapter).items()}
    if problems := list(problems_of_adapter(values)):
        raise UserError(f"{what}: {problems[0]}")
    return adapter


def _said(adapter: AdapterConfig) -> str:
    args = "".join(f", {name}={value}" for name, value in adapter.args.items())
    targets = adapter.target_modules
    last = targets if isinstance(targets, str) else listed(sorted({name.rpartition(".")[2] for name in targets}))
    return f"rank {adapter.rank}, alpha {adapter.alpha}, on {last}{args}"


def _preset() -> dict[str, Any]:
    """The keys of `adapter=lora` where nobody sets any."""
    from omegaconf import OmegaConf

    from edu_align.config.compose import compose

    preset: Any = OmegaConf.to_container(compose(["adapter=lora", "data_root=null"]).adapter)
    return preset
