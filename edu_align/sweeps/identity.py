"""What a sweep asks, as text that stays the same when the same is asked again, and the folder's name made of it."""

import json
from typing import Any

from omegaconf import DictConfig, OmegaConf

from edu_align.config.keys import stated
from edu_align.utils.hashing import sha256


def is_bookkeeping(key: str) -> bool:
    """Whether a key changes where things go or how fast, and not what is computed: the same sweep goes on with others.

    `in_sweep_name=False` in config/schema.py says so of a key or of its group.
    """
    names = ("hydra", *stated("outside_sweep_name"))
    return any(key == name or key.startswith((f"{name}.", f"{name}/")) for name in names)


def sweep_digest(config: DictConfig, swept: dict[str, str]) -> str:
    """64 hex digits of the config without bookkeeping and of what is swept: `{key: values as they were typed}`.

    `config` is the one that Hydra composes for the sweep, with every override but the swept ones.
    """
    plain: Any = OmegaConf.to_container(config, resolve=False)
    kept = {key: value for key, value in plain.items() if not is_bookkeeping(key)}
    if isinstance(kept.get("sweep"), dict):
        sweep = kept["sweep"].items()
        kept["sweep"] = {key: value for key, value in sweep if not is_bookkeeping(f"sweep.{key}")}
    searched = [[key, "".join(text.split())] for key, text in swept.items() if not is_bookkeeping(key.lstrip("+~"))]
    text = json.dumps([kept, searched], sort_keys=True, ensure_ascii=False, default=str)
    return sha256(text)


def default_name(choices: dict[str, Any], digest: str) -> str:
    """`beta_lr-1a2b3c4d`: the preset, or else trainer and data set, where each is one; then 8 digits of the digest."""
    parts = [choices.get("sweep")] if choices.get("sweep") else [choices.get("trainer"), choices.get("dataset")]
    words = [str(part) for part in parts if part and "," not in str(part) and str(part).isidentifier()]
    return "-".join([*(words or ["sweep"]), digest[:8]])
