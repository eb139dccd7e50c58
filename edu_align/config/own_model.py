"""A model that no preset describes: as soon as `model.path` is not the preset's own, nothing of the preset counts.

What stays is what was set by hand, over the schema's defaults, and the model bears its own name.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edu_align.config.arguments import key_of

if TYPE_CHECKING:
    from omegaconf import DictConfig

NO_PRESET = "model=model_schema"  # Hydra's word for the schema's defaults alone
OURS = ("adapter", "model", "export")  # names that a run gives the folders in it


def own_model(
    cfg: "DictConfig",
    choice: str,
    folders: Sequence[Path],
    words: Sequence[str],
    model_of: Callable[[list[str]], "DictConfig"],
) -> None:
    """Make `cfg.model`, composed from `words`, say nothing that only the own model of its preset is known to be.

    `choice` is the preset and `folders` hold them; `model_of` composes a command line and returns its model group. A
    preset on top of another one (`defaults: [smollm2, _self_]`) that names its own path has its own keys alone.
    """
    from omegaconf import OmegaConf, flag_override
    from omegaconf.errors import OmegaConfBaseException

    try:
        path = cfg.model.path
    except OmegaConfBaseException:  # no choice, or a value that cannot be resolved, which the rules refuse
        return
    preset = _preset(choice, folders)
    if path is None or preset is None:
        return
    by_hand = [*(word for word in words if key_of(word) != "model"), NO_PRESET]
    model: Any = cfg.model
    if path != (preset["path"] if "path" in preset else model_of([f"model={choice}"]).path):
        model = model_of(by_hand)
    elif "path" in preset and set(model) - set(preset):
        model = OmegaConf.merge(model_of(by_hand), {key: model[key] for key in preset if key in model})
    with flag_override(cfg, ["struct", "readonly"], False):
        cfg.model = model
        cfg.model.name = model.name or name_of(path)


def _preset(choice: str, folders: Sequence[Path]) -> "dict[str, Any] | None":
    """The keys that the preset's own file sets; None where it is no file of these folders."""
    from omegaconf import OmegaConf

    for folder in folders:
        file = folder / "model" / f"{choice.removesuffix('.yaml')}.yaml"
        if file.is_file():
            content: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
            return {key: value for key, value in content.items() if key != "defaults"} if content else {}
    return None


def name_of(path: str) -> str:
    """The name of the model at a hub id or folder, fit for a folder's name.

    "Qwen/Qwen3-4B" -> "Qwen3-4B"; ".../models--Qwen--Qwen3-4B/snapshots/<commit>" -> "Qwen3-4B";
    "outputs/runs/my_run/model" -> "my_run".
    """
    parts = [part for part in Path(path).expanduser().parts if part not in ("/", ".", "..")]
    if len(parts) > 2 and parts[-2] == "snapshots" and parts[-3].startswith("models--"):
        parts = parts[-3].split("--")
    while len(parts) > 1 and parts[-1] in OURS:
        parts.pop()
    return re.sub(r"[^\w.-]+", "-", parts[-1] if parts else "").strip(".-") or "own"
