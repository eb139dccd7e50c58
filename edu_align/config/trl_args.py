"""What TRL finds out once the model is loaded: its options (`trainer.args`), schedules, optimizers and losses.

Options are checked against the fields of SFTConfig and DPOConfig without importing TRL.

Importing TRL takes seconds, reading the source of its config classes with `ast` takes a tenth of one, and that only
where `trainer.args` has a key.
"""

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edu_align.config.bounds import holds, not_a_word
from edu_align.config.keys import stated
from edu_align.config.schema import COMPARING_LOSSES, DPO_LOSSES, GROUP_SCHEMAS, TrainerConfig
from edu_align.config.trl_options import Need, Passed, passed, refused
from edu_align.utils.distributed import count
from edu_align.utils.words import nearest

_KINDS: dict[str, tuple[Any, str]] = {
    "number": (int | float, "a number"), "whole": (int, "a whole number"), "true or false": (bool, "true or false"),
    "text": (str, "text"), "mapping": (dict | str, "a mapping such as {min_lr_rate: 0.1}"),
    "words": (str, "text"),
}  # fmt: skip
# Schedules that do not go without one of these keys of `trainer.args.lr_scheduler_kwargs`, with a value.
SCHEDULES = {
    "cosine_with_min_lr": ("min_lr_rate", "0.1"), "cosine_warmup_with_min_lr": ("min_lr_rate", "0.1"),
    "warmup_stable_decay": ("num_decay_steps", "100"),
}  # fmt: skip
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
    fields, ours = trl_fields(algorithm), owned(algorithm)
    known, never = passed(place[1]), refused(place[1])
    set_keys = values | {f"trainer.args.{name}": value for name, value in args.items()}
    for name, value in args.items():
        key = f"trainer.args.{name}"
        if name in ours and (name in fields or not fields):
            yield f"`{key}` is set by `{ours[name]}`. Set that key and drop this one."
        elif fields and name not in fields:
            best = nearest(str(name), sorted(fields))
            hint = f" Did you mean `{ours.get(best, f'trainer.args.{best}')}`?" if best else ""
            yield f"`{key}` is not an option of TRL's {place[1]}.{hint}"
        elif name in never:
            yield f"`{key}` cannot be set here: {never[name]}. Drop it."
        elif name not in known:
            yield f"`{key}` is an option of TRL's that this version of edu_align does not know. Drop it."
        else:
            yield from _problems_of_value(key, value, known[name], set_keys, known)


def _problems_of_value(
    key: str, value: Any, option: Passed, values: dict[str, Any], known: dict[str, Passed]
) -> Iterator[str]:
    """What is wrong with the value of an option that is passed on, or what the option does nothing without."""
    if value == option.default and isinstance(value, bool) == isinstance(option.default, bool):
        return
    usual = "" if option.default is None else f" TRL's own is {_shown(option.default)}."
    if option.kind == "words" and value not in option.words:
        yield not_a_word(key, str(value), option.words)
    elif not _is_a(option.kind, value):
        yield f"`{key}` must be {_KINDS[option.kind][1]}, got {value!r}.{usual} Set it, or drop it."
    elif option.rule and not holds(value, option.rule):
        yield f"`{key}` must be {option.rule}, got {value}.{usual} Set it, or drop it."
    else:
        for need in option.needs:
            name = need.key.removeprefix("trainer.args.")
            found = values.get(need.key, known[name].default if name in known and name != need.key else None)
            if not _met(need, found):
                yield f"`{key}` does nothing with {need.key}={_shown(found)}. Set {_setting(need)}, or drop it."


def _is_a(kind: str, value: Any) -> bool:
    return isinstance(value, _KINDS[kind][0]) and (kind == "true or false" or not isinstance(value, bool))


def _met(need: Need, found: Any) -> bool:
    if isinstance(need.holds, str):
        return isinstance(found, int | float) and holds(found, need.holds)
    return found in need.holds


def _setting(need: Need) -> str:
    """The word of a command line that does what is needed."""
    if need.key == "adapter.name":
        return f"adapter={need.set_to}"
    return f"{'++' if need.key.startswith('trainer.args.') else ''}{need.key}={need.set_to}"


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


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


# Losses of TRL's that read no `trainer.label_smoothing`.
UNSMOOTHED = (
    "sigmoid", "hinge", "ipo", "nca_pair", "bco_pair", "sppo_hard", "apo_zero", "apo_down", "discopop", "sft",
    "sigmoid_norm",
)  # fmt: skip


def problems_of_loss(values: dict[str, Any]) -> Iterator[str]:
    loss = values.get("trainer.loss_type")
    if loss not in DPO_LOSSES:
        return
    if loss == "exo_pair" and values.get("trainer.label_smoothing") == 0:
        yield "`trainer.loss_type` exo_pair needs `trainer.label_smoothing` > 0, got 0.0. Set it to 1e-3."
    if loss in UNSMOOTHED and (smoothing := values.get("trainer.label_smoothing")):
        yield (
            f"`trainer.label_smoothing={smoothing}` does nothing with trainer.loss_type={loss}. Set "
            "trainer.loss_type=robust, which reads it as the share of wrong labels, or drop it."
        )
    if loss in COMPARING_LOSSES:
        yield from _comparing(values, f"`trainer.loss_type={loss}` compares all pairs of a step")
    args = values.get("trainer.args") or {}
    if args.get("use_weighting") is True and values.get("trainer.sft_weight"):
        yield (
            "`trainer.args.use_weighting` does not go with an SFT term, which TRL weighs in place, got "
            f"trainer.sft_weight={values['trainer.sft_weight']}. Drop it, or set trainer.sft_weight=0."
        )


def _comparing(values: dict[str, Any], why: str) -> Iterator[str]:
    """Cut into passes, or dealt out to processes, it would be another loss."""
    batch = values.get("trainer.batch_size", 1)
    fits = values.get("hardware.per_device_batch_size", batch)
    if count() > 1:
        yield f"{why}, and {count()} processes would share them. Launch one, or choose another trainer.loss_type."
    if 1 <= fits < batch:
        yield (
            f"{why} in one forward pass: `hardware.per_device_batch_size` must be >= trainer.batch_size ({batch}), got "
            f"{fits}. Set hardware.per_device_batch_size={batch} or trainer.batch_size={fits}."
        )
