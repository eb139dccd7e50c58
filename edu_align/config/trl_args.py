"""`trainer.args`: options of TRL's SFTConfig and DPOConfig, checked against their fields without importing TRL.

Importing TRL takes seconds, reading the source of its config classes with `ast` takes a tenth of one, and that only
where `trainer.args` has a key.
"""

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from edu_align.config.suggest import nearest

_CLASSES = {
    "sft": ("trl", "trainer/sft_config.py", "SFTConfig"),
    "dpo": ("trl", "trainer/dpo_config.py", "DPOConfig"),
}
_BASES = (
    ("trl", "trainer/base_config.py", "_BaseConfig"),
    ("transformers", "training_args.py", "TrainingArguments"),
)

# TRL options that edu_align sets itself, and the key that decides each.
OWNED = {
    "learning_rate": "trainer.learning_rate",
    "num_train_epochs": "trainer.epochs",
    "max_steps": "trainer.max_steps",
    "max_length": "trainer.max_length",
    "lr_scheduler_type": "trainer.lr_scheduler",
    "warmup_steps": "trainer.warmup_ratio",
    "weight_decay": "trainer.weight_decay",
    "max_grad_norm": "trainer.max_grad_norm",
    "logging_steps": "trainer.logging_steps",
    "logging_strategy": "trainer.logging_steps",
    "eval_steps": "trainer.eval_steps",
    "eval_strategy": "trainer.eval_steps",
    "save_steps": "trainer.save_steps",
    "save_strategy": "trainer.save_steps",
    "save_total_limit": "trainer.save_total_limit",
    "save_only_model": "trainer.save_steps",
    "beta": "trainer.beta",
    "loss_type": "trainer.loss_type",
    "loss_weights": "trainer.sft_weight",
    "label_smoothing": "trainer.label_smoothing",
    "precompute_ref_log_probs": "trainer.precompute_reference",
    "per_device_train_batch_size": "hardware.per_device_batch_size",
    "gradient_accumulation_steps": "trainer.batch_size",
    "auto_find_batch_size": "hardware.per_device_batch_size",  # it would start the training over
    "per_device_eval_batch_size": "hardware.eval_batch_size",
    "gradient_checkpointing": "hardware.gradient_checkpointing",
    "optim": "hardware.optimizer",
    "bf16": "hardware.dtype",
    "fp16": "hardware.dtype",
    "use_cpu": "hardware.device",
    "output_dir": "outputs_root",
    "run_name": "run_name",
    "seed": "seed",
    "data_seed": "seed",
    "report_to": "tracking",
    "project": "tracking.project",
}


def problems_of_args(names: list[str], algorithm: str) -> Iterator[str]:
    """A problem for each name of `trainer.args` that TRL's config has no field for, or that another key sets."""
    if not names or algorithm not in _CLASSES:
        return
    fields = trl_fields(algorithm)
    for name in names:
        if name in OWNED and (name in fields or not fields):
            yield f"`trainer.args.{name}` is set by `{OWNED[name]}`. Set that key and drop this one."
        elif fields and name not in fields:
            best = nearest(name, sorted(fields))
            hint = f" Did you mean `{OWNED.get(best, f'trainer.args.{best}')}`?" if best else ""
            yield f"`trainer.args.{name}` is not an option of TRL's {_CLASSES[algorithm][2]}.{hint}"


@cache
def trl_fields(algorithm: str) -> frozenset[str]:
    """Field names of TRL's config class for `sft` or `dpo`, inherited ones too. Empty where TRL is not installed."""
    found = [_fields(*place) for place in (_CLASSES[algorithm], *_BASES)]
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
