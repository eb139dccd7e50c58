"""What TRL finds out once the model is loaded: its options (`trainer.args`), schedules and optimizers.

Options are checked against the fields of SFTConfig and DPOConfig without importing TRL.
"""

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from edu_align.config.keys import stated
from edu_align.config.options import Options, class_in, fields_of, problems_of_options
from edu_align.config.schema import GROUP_SCHEMAS, TrainerConfig
from edu_align.config.trl_options import passed, refused

# Schedules that do not go without one of these keys of `trainer.args.lr_scheduler_kwargs`, with a value.
SCHEDULES = {
    "cosine_with_min_lr": ("min_lr_rate", "0.1"), "cosine_warmup_with_min_lr": ("min_lr_rate", "0.1"),
    "warmup_stable_decay": ("num_decay_steps", "100"),
}  # fmt: skip
UNWARMED = ("constant", "reduce_lr_on_plateau", "greedy")  # schedules that read no warm-up
# Optimizers of packages of their own, by the start of the name: what is imported, what is installed.
PACKAGES = {
    "schedule_free": ("schedulefree", "schedulefree"), "stable_adamw": ("optimi", "torch-optimi"),
    "grokadamw": ("grokadamw", "grokadamw"), "adamw_torch_4bit": ("torchao", "torchao"),
    "adamw_torch_8bit": ("torchao", "torchao"), "adamw_torch_xla": ("torch_xla", "torch_xla"),
    "adamw_torch_npu": ("torch_npu", "torch_npu"), "adamw_anyprecision": ("torchdistx", "torchdistx"),
}  # fmt: skip


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


def problems_of_optimizer(name: str) -> Iterator[str]:
    """What an optimizer lacks, or cannot do here."""
    if name.startswith(("galore", "apollo")) and not name.endswith("_layerwise"):
        yield (
            f"`hardware.optimizer={name}` works on layers that are named to it, and edu_align is not tested with its "
            "package. Set hardware.optimizer=adamw_torch."
        )
        return
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


def problems_of_args(values: dict[str, Any]) -> Iterator[str]:
    """A problem for each option of `trainer.args` that is not passed on, or not with this value and these keys.

    `values`: the whole config, dotted key to value.
    """
    args, algorithm = values.get("trainer.args") or {}, values.get("trainer.algorithm", "")
    place = _trl_config(algorithm)
    if not args or place is None:
        return
    fields, name = trl_fields(algorithm), place[1]
    options = Options("trainer.args", "TRL", name, fields, owned(algorithm), passed(name), refused(name))
    yield from problems_of_options(args, options, values)


def _trl_config(algorithm: str) -> tuple[str, str] | None:
    """File and name of TRL's config class for an algorithm; None where its schema names none."""
    schema: Any = GROUP_SCHEMAS["trainer"].get(f"{algorithm}_schema", TrainerConfig)
    place: tuple[str, str] | None = schema.trl_config
    return place


def trl_fields(algorithm: str) -> frozenset[str]:
    """Field names of TRL's config class for `sft` or `dpo`, inherited ones too. Empty where TRL is not installed."""
    place = _trl_config(algorithm)
    found = [fields_of(*where) for where in (("trl", *place), *_BASES)] if place else []
    return frozenset().union(*found) if all(found) else frozenset()


def enumeration(path: str, name: str) -> tuple[str, ...]:
    """Values of an enumeration in transformers, by file and class; empty where it cannot be read."""
    node = class_in("transformers", path, name)
    values = [line.value for line in node.body if isinstance(line, ast.Assign)] if node else []
    return tuple(value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str))
