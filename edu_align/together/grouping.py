"""Which configs can train at once: those that differ only in what each run keeps to itself.

Light: nothing here imports torch, so that a sweep can be planned with it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from edu_align import processes
from edu_align.config.schema import DPOTrainerConfig

# What a run has for itself: its loss, its optimizer and schedule, its adapter's shape, and where its numbers go.
FREE = frozenset({
    "run_name", "objective", "chain", "force", "sweep", "tracking", "generation", "export", "outputs_root",
    "adapter.rank", "adapter.alpha", "adapter.target_modules", "hardware.optimizer", "trainer.learning_rate",
    "trainer.lr_scheduler", "trainer.warmup_ratio", "trainer.weight_decay", "trainer.max_grad_norm",
    "trainer.average_last", "trainer.epochs", "trainer.max_steps", "trainer.logging_steps", "trainer.eval_steps",
    "trainer.save_steps", "trainer.save_total_limit", "trainer.beta", "trainer.loss_type", "trainer.label_smoothing",
    "trainer.sft_weight", "trainer.precompute_reference", "trainer.args.adam_beta1", "trainer.args.adam_beta2",
    "trainer.args.adam_epsilon", "trainer.args.lr_scheduler_kwargs", "trainer.args.warmup_steps",
    "trainer.args.ld_alpha", "trainer.args.use_weighting", "trainer.args.f_divergence_type",
    "trainer.args.f_alpha_divergence_coef", "trainer.args.discopop_tau",
})  # fmt: skip
# Options of TRL and transformers that reach into the model's forward or backward pass in their own way.
OWN_WAY = (
    "torch_compile", "use_liger_kernel", "neftune_noise_alpha", "activation_offloading", "deepspeed", "fsdp",
    "full_determinism", "auto_find_batch_size", "sync_ref_model",
)  # fmt: skip
_ACROSS_PAIRS = ("aot", "aot_unpaired", "sft")  # losses that compare, or average over, the pairs of one forward pass


@dataclass(frozen=True)
class Group:
    """Positions of the configs that train together, and why one is alone ("" where several are together)."""

    indices: tuple[int, ...]
    reason: str = ""


def groups_of(cfgs: Sequence[DictConfig], most: int | None = None) -> list[Group]:
    """Every config in one group of at most `most` (None: any number), in the order of their first members.

    Equal numbers of steps are not needed: a run that has trained enough leaves. A precomputed reference beside a live
    one costs a pass that is not shared, and changes nothing.
    """
    values = [OmegaConf.to_container(cfg, resolve=True) for cfg in cfgs]
    alone = {i: reason for i, value in enumerate(values) if (reason := why_alone(value)) is not None}
    keys = [shared_key(value) for value in values]
    parts: dict[str, list[int]] = {}
    for i, key in enumerate(keys):
        if i not in alone:
            parts.setdefault(key, []).append(i)
    found = [Group((i,), reason) for i, reason in alone.items()]
    for members in parts.values():
        size = most or len(members)
        for start in range(0, len(members), size):
            chosen = tuple(members[start : start + size])
            found.append(Group(chosen, "" if len(chosen) > 1 else _no_other(chosen[0], values, alone, most)))
    return sorted(found, key=lambda group: group.indices)


def why_alone(config: Any) -> str | None:
    """Why this config (plain containers) trains with no other one, or None where it can."""
    trainer, hardware = config["trainer"], config["hardware"]
    if config["adapter"]["name"] != "lora":
        return f"adapter={config['adapter']['name']} changes the base model, which several runs would share"
    if config["adapter"]["dropout"] > 0:
        return f"adapter.dropout={config['adapter']['dropout']} draws random numbers, which would be others in a stack"
    if config.get("chain"):
        return "chain trains several models one after the other"
    if config.get("preview"):
        return "preview shows data and trains nothing"
    if processes.launched():
        return "several processes train this run"
    if hardware["sharding"] != "none":
        return f"hardware.sharding={hardware['sharding']} spreads the base model over processes"
    used = [name for name in OWN_WAY if trainer["args"].get(name)]
    if used:
        return f"trainer.args.{used[0]} changes how a pass is computed"
    return None


def across_pairs(trainer: Any) -> str:
    """The setting whose loss depends on which pairs share a forward pass, "" where it depends on none."""
    if not isinstance(trainer, DPOTrainerConfig):
        return ""
    if trainer.loss_type in _ACROSS_PAIRS:
        return f"trainer.loss_type={trainer.loss_type}"
    return f"trainer.sft_weight={trainer.sft_weight:g}" if trainer.sft_weight else ""


def shared_key(config: Any) -> str:
    """Canonical JSON of everything that runs trained together must have in common."""
    return json.dumps(_shared(config), sort_keys=True)


def _shared(config: Any) -> dict[str, Any]:
    return {name: value for name, value in _leaves(config, "").items() if not _free(name)}


def _leaves(node: Any, prefix: str) -> dict[str, Any]:
    if not isinstance(node, dict) or not node:
        return {prefix: node}
    found: dict[str, Any] = {}
    for key, value in node.items():
        found |= _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    return found


def _free(name: str) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:end]) in FREE for end in range(1, len(parts) + 1)) or name == "trainer.args"


def _no_other(index: int, values: Sequence[Any], alone: dict[int, str], most: int | None) -> str:
    """What the config at `index` differs in from the one that is most like it."""
    mine = _shared(values[index])
    others = [_shared(value) for i, value in enumerate(values) if i != index and i not in alone]
    if not others:
        return "there is no other job that could share its base model"
    nearest = min((_different(mine, other) for other in others), key=len)
    if not nearest:
        return f"its group is full (sweep.concurrent={most})"
    return f"no other job agrees with it in {', '.join(nearest)}"


def _different(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    missing = object()
    return sorted(name for name in one.keys() | other.keys() if one.get(name, missing) != other.get(name, missing))
