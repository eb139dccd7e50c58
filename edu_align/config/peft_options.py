"""`adapter.args`: every field of PEFT's LoraConfig and what becomes of it here, checked without importing PEFT.

A field is ours (a field of the schema says so), passed on, or refused; see `options`. tests/config/test_peft_options.py
holds the table against the installed class.
"""

import re
from collections.abc import Iterator
from typing import Any

from edu_align.config.keys import stated
from edu_align.config.options import Options, Passed, fields_of, problems_of_options

KEY = "adapter.args"
ALL = "all-linear"  # PEFT's word for every linear layer but the head
# PEFT's words for a start that takes the largest part of the base's own weights (arXiv:2404.02948, arXiv:2406.01775).
PRINCIPAL = re.compile(r"olora|pissa(_niter_\d+)?")
INITS = ("true", "gaussian", "pissa", "pissa_niter_<number>", "olora")

PASSED = {
    "use_rslora": Passed("true or false", False),
    "use_dora": Passed("true or false", False),
    "lora_bias": Passed("true or false", False),
    "init_lora_weights": Passed("words or true", True, words=INITS, pattern=rf"gaussian|{PRINCIPAL.pattern}"),
    "modules_to_save": Passed("names", None),
    "exclude_modules": Passed("names or pattern", None),
    "layers_to_transform": Passed("layers", None, ">= 0"),
    "layers_pattern": Passed("names or pattern", None),
    "rank_pattern": Passed("whole numbers by name", {}, ">= 1"),
    "alpha_pattern": Passed("numbers by name", {}, "> 0"),
}

_SET = "edu_align sets it"
_BASE = "it changes the base's own weights, so that the base is no more what the adapter is compared and merged with"
_READS = "it reads data or gradients before training, which edu_align does not prepare"
_UNTESTED = "edu_align is not tested with it"
_TIES = "tied embeddings are trained by adapter=full"

REFUSED = {
    "task_type": _SET, "peft_type": _SET, "inference_mode": _SET, "auto_mapping": _SET, "peft_version": _SET,
    "runtime_config": _SET,
    "bias": "it trains the base's own biases, so that the model with its adapter off, which is DPO's reference, is not "
    "the base",
    "fan_in_fan_out": "it is for Conv1D layers, and the models here have linear ones",
    "layer_replication": _BASE, "kasa_config": _BASE,
    "loftq_config": _READS, "eva_config": _READS, "corda_config": _READS, "lora_ga_config": _READS,
    "trainable_token_indices": "embeddings are trained whole: set adapter.args.modules_to_save=[embed_tokens]",
    "ensure_weight_tying": _TIES,
    "target_parameters": "adapters here lie on linear layers",
    "megatron_config": _UNTESTED, "megatron_core": _UNTESTED, "velora_config": _UNTESTED, "use_bdlora": _UNTESTED,
    "arrow_config": _UNTESTED, "monteclora_config": "it draws anew in each pass, so that no number repeats",
    "use_qalora": "it is for GPTQ weights", "qalora_group_size": "it is for GPTQ weights",
    "alora_invocation_tokens": "it cannot be merged, and what rows share would be computed with another row's adapter",
}  # fmt: skip
_PLACES = (
    ("peft", "tuners/lora/config.py", "LoraConfig"), ("peft", "config.py", "PeftConfig"),
    ("peft", "config.py", "PeftConfigMixin"),
)  # fmt: skip


def lora_fields() -> frozenset[str]:
    """Field names of PEFT's LoraConfig, inherited ones too. Empty where PEFT is not installed."""
    found = [fields_of(*place) for place in _PLACES]
    return frozenset().union(*found) if all(found) else frozenset()


def owned() -> dict[str, str]:
    """Fields of LoraConfig that a key of ours decides: `{"r": "adapter.rank", ...}`."""
    return {option: key for key, options in stated("peft").items() for option in options}


def is_principal(args: dict[str, Any]) -> bool:
    """Whether `adapter.args` begins from a part of the base's weights: PiSSA or OLoRA."""
    word = args.get("init_lora_weights", True)
    return isinstance(word, str) and PRINCIPAL.fullmatch(word) is not None


def problems_of_adapter(values: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the keys of `adapter`, each by itself and with the others. `values`: dotted key to value."""
    args = values.get(KEY) or {}
    if values.get("adapter.name") != "lora":
        yield from _not_lora(values, args)
        return
    for key in ("adapter.rank", "adapter.alpha"):
        if values.get(key, 1) < 1:
            yield f"`{key}` must be >= 1 with adapter=lora, got {values[key]}. A common value is {key}=32."
    yield from _problems_of_targets(values.get("adapter.target_modules", ["all-linear"]))
    if not args:
        return
    found = list(
        problems_of_options(args, Options(KEY, "PEFT", "LoraConfig", lora_fields(), owned(), PASSED, REFUSED), values)
    )
    yield from found or _together(args, values)


def _not_lora(values: dict[str, Any], args: dict[str, Any]) -> Iterator[str]:
    if values.get("adapter.name") == "full" and args:
        yield f"`{KEY}` is for LoRA, and adapter=full trains every weight, got {args}. Set adapter=lora, or drop it."
    if values.get("adapter.name") == "full" and values.get("adapter.lora_plus_ratio", 1.0) != 1.0:
        yield (
            "`adapter.lora_plus_ratio` is for LoRA, and adapter=full has no second matrix. Set "
            "adapter=lora, or drop it."
        )


def _problems_of_targets(targets: Any) -> Iterator[str]:
    key, way = "adapter.target_modules", "Set it to [all-linear]."
    if isinstance(targets, str):
        if problem := pattern_problem(targets):
            yield (
                f"`{key}` as a text is a regular expression over whole names, and {targets!r} is none "
                f"({problem}). {way}"
            )
    elif not isinstance(targets, list) or not all(isinstance(name, str) for name in targets):
        yield f"`{key}` must be a list of names, or a text that is a regular expression, got {targets!r}. {way}"
    elif not targets:
        yield f"`{key}` must name layers with adapter=lora, got []. {way}"


def pattern_problem(pattern: str) -> str:
    """What keeps a text from being a regular expression; "" where it is one."""
    try:
        re.compile(pattern)
    except re.error as error:
        return str(error)
    return "" if pattern else "it is empty"


def _together(args: dict[str, Any], values: dict[str, Any]) -> Iterator[str]:
    """What the options make of each other, and of keys beside the adapter's."""
    dora, principal = bool(args.get("use_dora")), is_principal(args)
    start = f"`{KEY}.init_lora_weights={args.get('init_lora_weights')}`"
    targets, nf4 = values.get("adapter.target_modules"), values.get("hardware.quantization") == "nf4"
    if args.get("layers_to_transform") is not None and isinstance(targets, str) and targets != ALL:
        yield (
            f"`{KEY}.layers_to_transform` goes with a list, and `adapter.target_modules` is a regular "
            "expression. Put the layers into it, or drop one."
        )
    if args.get("layers_pattern") is not None and args.get("layers_to_transform") is None:
        yield (
            f"`{KEY}.layers_pattern` does nothing without layers_to_transform. Set "
            f"{KEY}.layers_to_transform, or drop it."
        )
    for name in ("rank_pattern", "alpha_pattern", "exclude_modules"):
        for pattern in [args[name]] if isinstance(args.get(name), str) else args.get(name) or ():
            if problem := pattern_problem(pattern):
                yield f"`{KEY}.{name}`: {pattern!r} is no regular expression ({problem}). Mend it, or drop it."
    if args.get("init_lora_weights") is False:
        yield f"{start} begins with noise, which the model before training and DPO's reference do not have. Drop it."
    if dora and nf4:
        yield (
            f"`{KEY}.use_dora` keeps the length of each row of the weights, and over "
            "hardware.quantization=nf4 that of the rounded "
            "ones, which no export has. Set hardware.quantization=none, or adapter=lora."
        )
    if principal and nf4:
        yield (
            f"{start} takes the largest part out of the base's weights, and over "
            "hardware.quantization=nf4 the rest would have to be "
            "rounded anew. Set hardware.quantization=none, or adapter=lora."
        )
    if dora and principal:
        yield (
            f"`{KEY}.use_dora` and {start} cannot go together: what PiSSA or OLoRA add could not be "
            "saved for the untouched base. Drop one."
        )
    if principal and values.get("adapter.dropout", 0.0) > 0:
        yield (
            f"{start} needs adapter.dropout=0: dropout would take away parts of the base's own "
            "weights. Set adapter.dropout=0.0."
        )
    if principal and args.get("use_rslora") and (args.get("rank_pattern") or args.get("alpha_pattern")):
        yield (
            f"{start} with use_rslora cannot be saved with rank_pattern or alpha_pattern. Drop "
            "use_rslora, or the patterns."
        )
    if args.get("lora_bias") and (dora or args.get("init_lora_weights", True) is not True):
        yield f"`{KEY}.lora_bias` goes with neither use_dora nor init_lora_weights in PEFT. Drop it, or those."
    if values.get("hardware.sharding") == "fsdp" and (dora or principal or args.get("modules_to_save")):
        yield (
            f"`{KEY}`: use_dora, modules_to_save and the starts pissa and olora read or train whole "
            "weights, and hardware.sharding=fsdp "
            "spreads them. Set hardware.sharding=none, or drop them."
        )
