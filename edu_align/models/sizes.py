"""How large a model is, read from its config.json without torch: from its folder, the hub's cache, or the hub.

A preset's sizes stand for its own model alone (config/own_model.py). What cannot be known is said, never assumed.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from edu_align.config.schema import Architecture, Config, ModelConfig
from edu_align.models.hub import small_file
from edu_align.utils.errors import UserError

# Networks that planning/ counts exactly, and what each takes for a key that its config.json leaves out.
KNOWN: dict[str, dict[str, Any]] = {
    "llama": {}, "mistral": {"num_key_value_heads": 8}, "qwen2": {"num_key_value_heads": 32},
    "qwen3": {"num_key_value_heads": 32, "head_dim": 128}, "gemma": {"head_dim": 256, "tie_word_embeddings": True},
    "granite": {}, "smollm3": {"num_key_value_heads": 4, "tie_word_embeddings": True},
}  # fmt: skip


@dataclass
class Sizes(Architecture):
    """Known ones. `head_dim` is None where it is hidden_size / num_attention_heads."""

    head_dim: int | None = None


def head_width(shape: Architecture) -> int:
    """Width of one head, in units."""
    stated = shape.head_dim if isinstance(shape, Sizes) else None
    return stated or shape.hidden_size // shape.num_attention_heads


def attention_width(shape: Architecture) -> int:
    """Width of all of a layer's queries together, in units."""
    return shape.num_attention_heads * head_width(shape)


def sizes_of(model: ModelConfig) -> tuple[Sizes | None, str]:
    """The sizes, or None and the reason why nobody knows them. Errors: `model.path` is a folder that is not there."""
    stated = model.architecture
    if model.weights == "random" or model.path is None:
        return _stated(stated), "model.path is null"
    content, why = config_json(model)
    if content is None:
        return (_stated(stated), "") if stated.hidden_size else (None, why)
    return _read(content)


def config_json(model: ModelConfig) -> tuple[dict[str, Any] | None, str]:
    """What config.json of `model.path` holds; None and the reason where it cannot be read. Errors: as `sizes_of`.

    A preset's own model is not asked for at the hub: its sizes stand in the preset.
    """
    assert model.path is not None
    folder = local_folder(model.path)
    if folder is None and model.architecture.hidden_size:
        return None, ""
    file, why = (folder / "config.json", "") if folder else small_file(model, "config.json")
    if file is None:
        return None, why
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None, f"{file} cannot be read"
    return (content, "") if isinstance(content, dict) else (None, f"{file} holds no object")


def local_folder(path: str) -> Path | None:
    """`model.path` as a folder; None where it is a hub id. Errors: it is neither."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if path.startswith((".", "/", "~")) or path.count("/") != 1:
        raise UserError(
            f"`model.path` must be a folder or a hub id (owner/name), got {path!r}, and no such folder exists. "
            "Check the path; it is relative to the current folder."
        )
    return None


def _stated(shape: Architecture) -> Sizes | None:
    return Sizes(**asdict(shape)) if shape.hidden_size else None


def _read(content: dict[str, Any]) -> tuple[Sizes | None, str]:
    kind = content.get("model_type")
    if kind not in KNOWN:
        return None, f"networks of the type {kind} are not counted here"
    names = {field.name for field in fields(Sizes)}
    found = {"num_key_value_heads": content.get("num_attention_heads"), **KNOWN[kind]}
    found |= {name: value for name, value in content.items() if name in names and value is not None}
    whole = [field.name for field in fields(Sizes) if field.type is int]
    wrong = [name for name in whole if not isinstance(found.get(name), int) or found[name] < 1]
    if wrong or not isinstance(found.get("head_dim", 1), int):
        return None, f"its config.json has no usable {' and '.join(wrong) or 'head_dim'}"
    return Sizes(**found), ""


def check_length(config: Config) -> None:
    """Errors: `trainer.max_length` is more than the model's longest input, where that is known."""
    sizes, _ = sizes_of(config.model)
    length = config.trainer.max_length
    if sizes is not None and length > sizes.max_position_embeddings:
        raise UserError(
            f"`trainer.max_length` must be <= {sizes.max_position_embeddings}, the longest input of "
            f"model={config.model.name}, got {length}."
        )
