"""Which layers of a model an adapter lies on: found on a copy without weights, before any are loaded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edu_align.config.peft_options import ALL, is_principal
from edu_align.config.schema import AdapterConfig, ModelConfig
from edu_align.models.locate import Location, architecture, shape_in
from edu_align.utils.errors import UserError
from edu_align.utils.words import did_you_mean, listed

KEY, SAVED = "adapter.target_modules", "adapter.args.modules_to_save"
EMBEDDINGS, HEAD = "embed_tokens", "lm_head"
NARROWING = ("layers_to_transform", "layers_pattern", "exclude_modules")


def linear_layers(model: Any) -> set[str]:
    """Last names of the linear layers that may carry an adapter; the LM head is none (TRL scores through it)."""
    return {last_name(name) for name in linear_names(model)}


def linear_names(model: Any) -> list[str]:
    """Whole names of the linear layers that may carry an adapter, in the model's order."""
    head = getattr(model, "score", None) or model.get_output_embeddings()
    return [name for name, module in model.named_modules() if module is not head and "Linear" in type(module).__name__]


def last_name(name: str) -> str:
    return name.rpartition(".")[2]


def lora_options(adapter: AdapterConfig, model: Any) -> dict[str, Any]:
    """Keyword arguments of PEFT's LoraConfig for an adapter on `model`."""
    args, targets = adapter.args, adapter.target_modules
    if ALL in ([targets] if isinstance(targets, str) else targets):
        # PEFT takes its word for all of them with no choice of layers beside it.
        targets = ALL if args.get("layers_to_transform") is None else sorted(linear_layers(model))
    return {
        "r": adapter.rank, "lora_alpha": adapter.alpha, "lora_dropout": adapter.dropout, "target_modules": targets,
        "task_type": "SEQ_CLS" if hasattr(model, "score") else "CAUSAL_LM", **args,
    }  # fmt: skip


def check_targets(model: ModelConfig, location: Location, adapter: AdapterConfig) -> str:
    """One line on the layers that carry the adapter; "" where every linear layer does, or there is no adapter.

    Raise UserError for keys of `adapter` that match no layer of the model, or one that cannot do what they ask.
    """
    if adapter.name == "full":
        return ""
    empty = _without_weights(model, location)
    carrying, every = _carrying(empty, adapter, model.name), linear_names(empty)
    _check_layers(empty, carrying, adapter)
    whole = _trained_whole(empty, adapter, model.name)
    kinds = list(dict.fromkeys(map(last_name, carrying)))
    parts = [f"adapter on {len(carrying)} of {len(every)} linear layers ({', '.join(kinds)})"] * (carrying != every)
    parts += [f"{len(whole)} modules trained in full ({', '.join(whole[:3])}{' ...' * (len(whole) > 3)})"] * bool(whole)
    return f"edu_align: {'; '.join(parts)}" if parts else ""


def _without_weights(model: ModelConfig, location: Location) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    shape = shape_in(location.folder) if location.folder else architecture(model)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(shape, trust_remote_code=False)


def check_tensors(key: str, model: ModelConfig, location: Location, folder: Path) -> None:
    """Raise UserError where the adapter in `folder` has other tensors than one for this model. `key` names it.

    PEFT leaves layers that a file lacks as they were drawn, and says so in a warning.
    """
    import torch
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
    from safetensors import safe_open

    empty = _without_weights(model, location)
    with torch.device("meta"):
        adapted: Any = get_peft_model(empty, LoraConfig.from_pretrained(str(folder)))
    needed = {name: list(value.shape) for name, value in get_peft_model_state_dict(adapted).items()}
    with safe_open(folder / "adapter_model.safetensors", "pt") as file:
        given = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    wrong = sorted(name for name in needed.keys() | given.keys() if needed.get(name) != given.get(name))
    if wrong:
        raise UserError(
            f"`{key}`: that adapter does not fit model={model.name}: {len(wrong)} of its {len(given)} "
            "tensors are missing, of "
            f"another shape or of layers that are not there, {wrong[0]} for one ({given.get(wrong[0])} there, "
            f"{needed.get(wrong[0])} needed). Set model.path to the base that it was trained on."
        )


def _carrying(model: Any, adapter: AdapterConfig, label: str) -> list[str]:
    """Names of the layers that carry the adapter, as PEFT chooses them. Errors: a target without one, no layer."""
    from peft import LoraConfig
    from peft.tuners.tuners_utils import check_target_module_exists

    every, options = linear_names(model), lora_options(adapter, model)
    targets = options["target_modules"]
    _check_names(model, targets, label)
    chosen = LoraConfig(**options | {"target_modules": every if targets == ALL else targets})
    matched = [name for name, _ in model.named_modules() if check_target_module_exists(chosen, name)]
    other = [name for name in matched if name not in every]
    if other:
        raise UserError(
            f"`{KEY}={targets}` matches {other[0]}, which is no linear layer that can carry an adapter. End the "
            f"expression with one of: {', '.join(sorted(linear_layers(model)))}."
        )
    if not matched:
        beside = [
            f"adapter.args.{name}={adapter.args[name]}" for name in NARROWING if adapter.args.get(name) is not None
        ]
        plain = isinstance(targets, str) and targets in linear_layers(model)
        raise UserError(
            f"`{' '.join([f'{KEY}={adapter.target_modules}', *beside])}` matches no linear layer of "
            f"model={label}. Their names are "
            f"like {every[0]} and {every[-1]}." + (f" For names that end so write {KEY}=[{targets}]." if plain else "")
        )
    return matched


def _check_names(model: Any, targets: str | Sequence[str], label: str) -> None:
    """Errors: names of a list that no linear layer bears."""
    every, kinds = linear_names(model), sorted(linear_layers(model))
    names = [] if isinstance(targets, str) else targets
    unknown = [one for one in names if not any(name == one or name.endswith(f".{one}") for name in every)]
    if unknown:
        head = f" The loss reads the weights of {HEAD} past any adapter: +{SAVED}=[{HEAD}] trains it." * (
            HEAD in unknown
        )
        raise UserError(
            f"`{KEY}`: {', '.join(unknown)} matches no linear layer of model={label}.{did_you_mean(unknown[0], kinds)}"
            f"{head} Use all-linear, or some of: {', '.join(kinds)}."
        )


def _check_layers(model: Any, carrying: list[str], adapter: AdapterConfig) -> None:
    """Errors: a pattern that no adapted layer matches, and layers that cannot do what the options ask."""
    from peft.utils.other import get_pattern_key

    args = adapter.args
    for option in ("rank_pattern", "alpha_pattern"):
        for pattern in args.get(option) or {}:
            if not any(get_pattern_key([pattern], name) == pattern for name in carrying):
                raise UserError(
                    f"`adapter.args.{option}`: {pattern!r} matches no layer that carries the adapter."
                    f"{did_you_mean(pattern, sorted(set(map(last_name, carrying))))} They are like {carrying[0]}."
                )
    ranks = args.get("rank_pattern") or {}
    for name in carrying:
        layer = model.get_submodule(name)
        rank, most = ranks.get(get_pattern_key(list(ranks), name), adapter.rank), min(layer.weight.shape)
        if is_principal(args) and rank > most:
            raise UserError(
                f"`adapter.rank`: {name} has {most} singular directions, and init_lora_weights="
                f"{args['init_lora_weights']} takes one for each rank, got {rank}. Set adapter.rank={most} or less."
            )
        if args.get("lora_bias") and layer.bias is None:
            raise UserError(
                f"`adapter.args.lora_bias`: {name} has no bias that the adapter's could be merged into. Drop it, or "
                "name layers that have one."
            )


def _trained_whole(model: Any, adapter: AdapterConfig, label: str) -> list[str]:
    """Names of the modules that are trained in full, as PEFT chooses them: by how a name ends, not by its parts.

    Errors: one that is not there, was not meant, holds adapted layers, or is tied to another.
    """
    wanted, modules = adapter.args.get("modules_to_save") or [], dict(model.named_modules())
    found = [name for name in modules if any(name.endswith(end) for end in wanted)]
    named = {name: [end for end in wanted if name == end or name.endswith(f".{end}")] for name in found}
    for end in wanted:
        if not any(end in ends for ends in named.values()):
            kinds = sorted({last_name(name) for name, module in modules.items() if not list(module.children())})
            raise UserError(
                f"`{SAVED}`: {end} is no module of model={label}.{did_you_mean(end, kinds)} Some are: {listed(kinds)}."
            )
    for name in found:
        if not named[name]:
            end = next(end for end in wanted if name.endswith(end))
            meant = next(other for other in found if end in named[other])
            raise UserError(
                f"`{SAVED}`: PEFT trains every module whose name ends with {end!r}, and {name} is one. Write {meant} "
                f"for that one alone, or name {last_name(name)} as well."
            )
        if list(modules[name].children()) or name in linear_names(model):
            raise UserError(
                f"`{SAVED}`: {name} is for the adapter. Trained in full can be {EMBEDDINGS}, {HEAD} and norms."
            )
        if last_name(name) in (EMBEDDINGS, HEAD) and model.config.tie_word_embeddings:
            raise UserError(
                f"`{SAVED}`: {EMBEDDINGS} and {HEAD} of model={label} are one matrix (tie_word_embeddings), and "
                f"{last_name(name)} trained alone would come apart from the other. Leave it out, or set adapter=full."
            )
    return found
