"""`trainer.args`: options of TRL's SFTConfig and DPOConfig, checked against their fields without importing TRL.

Importing TRL takes seconds, reading the source of its config classes with `ast` takes a tenth of one, and that only
where `trainer.args` has a key.
"""

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edu_align.config.keys import stated
from edu_align.config.schema import GROUP_SCHEMAS, TrainerConfig
from edu_align.utils.words import nearest

_ROWS = "edu_align makes the rows itself"
_BEST = "checkpoints are for going on, and what is kept and measured is the last step. Set trainer.max_steps or epochs"
_HUB = "a finished run is uploaded by python -m edu_align.export run=<run> export.push_to_hub=<owner/name>"
_RESUME = "the same command goes on with its run by itself; init_from=<run> starts from a finished one"
_FSDP = "sharding is set by hardware.sharding=fsdp"
_MODEL = "the model is loaded by the keys of model and hardware"
_NOTHING = "nothing reads it here"
_STEP = "a step is the same on every device and in any number of processes"
_PACKING = "rows are packed by hardware.packing, without padding"
# Options that would do nothing, do half, or fail once the model is loaded: why, or what to set.
REFUSED = {
    "assistant_only_loss": "the loss lies on the tutor's turns already",
    "completion_only_loss": "the loss lies on the tutor's turns already",
    "loss_type": "this trainer's loss is the likelihood of the tutor's turns; trainer=dpo has trainer.loss_type",
    "packing": _PACKING, "packing_strategy": _PACKING, "eval_packing": _PACKING, "padding_free": _PACKING,
    "dataset_text_field": _ROWS, "dataset_kwargs": _ROWS, "dataset_num_proc": _ROWS, "shuffle_dataset": _ROWS,
    "remove_unused_columns": _ROWS, "length_column_name": _ROWS, "label_names": _ROWS,
    "train_sampling_strategy": "the order of the rows is drawn by seed, and DPO keeps the pairs of a prompt together",
    "eos_token": "the end of a turn is the chat template's", "pad_token": "the tokenizer's own is used",
    "chat_template_path": "the template is set by model.chat_template",
    "model_init_kwargs": _MODEL, "trust_remote_code": _MODEL, "use_liger_kernel": _MODEL, "liger_kernel_config": _MODEL,
    "load_best_model_at_end": _BEST, "metric_for_best_model": _BEST, "greater_is_better": _BEST,
    "resume_from_checkpoint": _RESUME, "ignore_data_skip": _RESUME, "enable_jit_checkpoint": _RESUME,
    "restore_callback_states_from_checkpoint": _RESUME,
    "push_to_hub": _HUB, "hub_always_push": _HUB, "hub_model_id": _HUB, "hub_private_repo": _HUB, "hub_revision": _HUB,
    "hub_strategy": _HUB,
    "trackio_bucket_id": "numbers go where the keys of tracking say", "trackio_space_id": "see the keys of tracking",
    "trackio_static_space_id": "see the keys of tracking",
    "fsdp": _FSDP, "fsdp_config": _FSDP, "deepspeed": _FSDP, "parallelism_config": _FSDP, "accelerator_config": _FSDP,
    "do_train": _NOTHING, "do_eval": _NOTHING, "do_predict": _NOTHING, "local_rank": _NOTHING,
    "prediction_loss_only": _NOTHING, "include_for_metrics": _NOTHING, "batch_eval_metrics": _NOTHING,
    "eval_do_concat_batches": _NOTHING, "eval_use_gather_object": _NOTHING, "skip_memory_metrics": _NOTHING,
    "router_aux_loss_coef": "experts would be balanced over a forward pass, and how long one is depends on the device",
    "dataloader_drop_last": _STEP, "average_tokens_across_devices": _STEP,
    "label_smoothing_factor": "TRL's loss with it does not know packed rows",
}  # fmt: skip
# Schedules that do not go without one of these keys of `trainer.args.lr_scheduler_kwargs`, with a value.
SCHEDULES = {
    "cosine_with_min_lr": ("min_lr_rate", "0.1"), "cosine_warmup_with_min_lr": ("min_lr_rate", "0.1"),
    "warmup_stable_decay": ("num_decay_steps", "100"),
}  # fmt: skip
# Optimizers of packages of their own, by the start of the name: what is imported, what is installed.
PACKAGES = {
    "galore": ("galore_torch", "galore-torch"), "apollo": ("apollo_torch", "apollo-torch"),
    "schedule_free": ("schedulefree", "schedulefree"), "stable_adamw": ("optimi", "torch-optimi"),
    "grokadamw": ("grokadamw", "grokadamw"), "adamw_torch_4bit": ("torchao", "torchao"),
    "adamw_torch_8bit": ("torchao", "torchao"), "adamw_torch_xla": ("torch_xla", "torch_xla"),
    "adamw_torch_npu": ("torch_npu", "torch_npu"), "adamw_anyprecision": ("torchdistx", "torchdistx"),
}  # fmt: skip


def refused(option: str) -> str:
    """The problem of an option in `trainer.args`; empty where it is passed on to TRL."""
    why = REFUSED.get(option)
    return f"`trainer.args.{option}` cannot be set here: {why}. Drop it." if why else ""


def problems_of_schedule(name: str, args: dict[str, Any], eval_steps: int | None) -> Iterator[str]:
    """What a learning rate schedule lacks."""
    given = args.get("lr_scheduler_kwargs") or {}
    needed, value = SCHEDULES.get(name, ("", ""))
    if needed and not {needed, needed.removesuffix("_rate")} & set(given):
        yield (
            f"`trainer.lr_scheduler={name}` needs {needed}. Add '+trainer.args.lr_scheduler_kwargs="
            f"{{{needed}: {value}}}', or set trainer.lr_scheduler=cosine."
        )
    if name == "reduce_lr_on_plateau" and eval_steps is None:
        yield f"`trainer.lr_scheduler={name}` reads the validation loss. Set trainer.eval_steps=50 or another one."


def problems_of_optimizer(name: str, args: dict[str, Any]) -> Iterator[str]:
    """What an optimizer lacks, or cannot do here."""
    if name.endswith("_layerwise") or name in ("lomo", "adalomo"):
        yield (
            f"`hardware.optimizer={name}` changes weights while gradients are computed, and a step here sums those of "
            "several passes. Set hardware.optimizer=adamw_torch."
        )
        return
    module, package = next((found for start, found in PACKAGES.items() if name.startswith(start)), ("", ""))
    if module and find_spec(module) is None:
        yield (
            f"`hardware.optimizer={name}` needs {package}, which is not installed: `pip install {package}`. "
            "Or set hardware.optimizer=adamw_torch."
        )
    if name.startswith(("galore", "apollo")) and not args.get("optim_target_modules"):
        yield (
            f"`hardware.optimizer={name}` needs the layers that it works on. Add "
            "+trainer.args.optim_target_modules=[attn,mlp], or set hardware.optimizer=adamw_torch."
        )


_BASES = (("trl", "trainer/base_config.py", "_BaseConfig"), ("transformers", "training_args.py", "TrainingArguments"))


def owned(algorithm: str = "") -> dict[str, str]:
    """TRL options that edu_align sets itself, and the key that decides each: `{"optim": "hardware.optimizer", ...}`.

    With an `algorithm` only the keys that its trainer has.
    """
    schema = GROUP_SCHEMAS["trainer"].get(f"{algorithm}_schema")
    found = stated("trl")
    if schema is not None:
        found = {key: value for key, value in found.items() if not key.startswith("trainer.")}
        found |= stated("trl", schema, "trainer.")
    return {option: key for key, options in found.items() for option in options}


def problems_of_args(names: list[str], algorithm: str) -> Iterator[str]:
    """A problem for each name of `trainer.args` that TRL's config has no field for, or that another key sets."""
    place = _trl_config(algorithm)
    if not names or place is None:
        return
    fields, ours = trl_fields(algorithm), owned(algorithm)
    for name in names:
        if name in ours and (name in fields or not fields):
            yield f"`trainer.args.{name}` is set by `{ours[name]}`. Set that key and drop this one."
        elif fields and name not in fields:
            best = nearest(name, sorted(fields))
            hint = f" Did you mean `{ours.get(best, f'trainer.args.{best}')}`?" if best else ""
            yield f"`trainer.args.{name}` is not an option of TRL's {place[1]}.{hint}"
        elif problem := refused(name):
            yield problem


def _trl_config(algorithm: str) -> tuple[str, str] | None:
    """File and name of TRL's config class for an algorithm; None where its schema names none."""
    schema: Any = GROUP_SCHEMAS["trainer"].get(f"{algorithm}_schema", TrainerConfig)
    place: tuple[str, str] | None = schema.trl_config
    return place


def trl_fields(algorithm: str) -> frozenset[str]:
    """Field names of TRL's config class for `sft` or `dpo`, inherited ones too. Empty where TRL is not installed."""
    place = _trl_config(algorithm)
    found = [_fields(*where) for where in (("trl", *place), *_BASES)] if place else []
    return frozenset().union(*found) if all(found) else frozenset()


def enumeration(path: str, name: str) -> tuple[str, ...]:
    """Values of an enumeration in transformers, by file and class; empty where it cannot be read."""
    node = _class("transformers", path, name)
    values = [line.value for line in node.body if isinstance(line, ast.Assign)] if node else []
    return tuple(value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str))


def _fields(package: str, path: str, name: str) -> frozenset[str]:
    node = _class(package, path, name)
    lines = [line.target for line in node.body if isinstance(line, ast.AnnAssign)] if node else []
    return frozenset(target.id for target in lines if isinstance(target, ast.Name))


@cache
def _class(package: str, path: str, name: str) -> ast.ClassDef | None:
    """The class `name` in the source file `path` of an installed package, which is not imported."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / path
    if not file.is_file():
        return None
    found = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    return next((node for node in found if node.name == name), None)
