"""How large a model is, read from its config.json without torch: from its folder, the hub's cache, or the hub.

A preset's sizes stand for its own model alone (config/compose.py). What cannot be known is said, never assumed.
"""

import json
import os
import re
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edu_align.config.schema import Architecture, Config, ModelConfig
from edu_align.models.known_sizes import known_config
from edu_align.utils.errors import UserError, first_line

TIMEOUT = 5  # seconds until the hub counts as out of reach


def out_of_reach(path: str) -> str:
    """Why the hub cannot be asked for the model `path`, from one quick question to it; "" where it answers.

    So a machine without network knows in seconds.
    """
    import urllib.error
    import urllib.request

    if os.environ.get("HF_HUB_OFFLINE") in ("1", "true", "True"):
        return "HF_HUB_OFFLINE is set"
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        urllib.request.urlopen(f"{endpoint}/api/models/{path}", timeout=TIMEOUT).close()
    except urllib.error.HTTPError as error:
        if not error.headers.get("X-Request-Id"):
            return f"something on the way answered {error.code}"
        # the hub itself answered: a download will say what is wrong
    except (OSError, ValueError) as error:
        return first_line(error)
    return ""


def cached_file(model: ModelConfig, name: str) -> Path | None:
    """The file of the model at `model.path` in the hub's local cache; None where it is not there."""
    assert model.path is not None
    if not (_cache() / f"models--{model.path.replace('/', '--')}").is_dir():  # saves the import, half a second
        return None
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(model.path, name, revision=model.revision)
    except ValueError:  # no name that a hub could have
        return None
    return Path(found) if isinstance(found, str) else None


def _cache() -> Path:
    """The folder of huggingface_hub's cache, as its environment variables say."""
    home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface")
    home = Path(os.environ.get("HF_HOME", home))
    given = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return Path(given or home / "hub").expanduser()


def small_file(model: ModelConfig, name: str) -> tuple[Path | None, str]:
    """The file, asked for at the hub where the cache has none; None and the reason where it cannot be had."""
    assert model.path is not None
    if (there := cached_file(model, name)) is not None:
        return there, ""
    return _fetched(model.path, model.revision, name)


@cache
def _fetched(path: str, revision: str | None, name: str) -> tuple[Path | None, str]:
    if reason := out_of_reach(path):
        return None, f"the hub is out of reach ({reason})"
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(path, name, revision=revision)), ""
    except Exception as error:
        return None, f"the hub gives no {name} of {path} ({first_line(error, 160)})"


# Sizes that a config.json must state, and those that it may leave out.
_STATED = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
_OPEN = ("num_key_value_heads", "head_dim", "max_position_embeddings", "tie_word_embeddings")
# Networks that planning/ counts exactly, and what transformers takes for what may be left out.
KNOWN: dict[str, tuple[int | None, ...]] = {
    "llama": (None, None, 2048, False),
    "mistral": (8, None, 131072, False),
    "qwen2": (32, None, 32768, False),
    "qwen3": (32, 128, 32768, False),
    "gemma": (16, 256, 8192, True),
    "granite": (None, None, 2048, False),
    "smollm3": (4, None, 32768, True),
    "gemma3_text": (4, 256, 131072, True),
    "phi3": (None, None, 4096, False),
}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


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

    A preset's own model is not asked for at the hub: its sizes stand in the preset or in `known_sizes`.
    """
    assert model.path is not None
    folder = local_folder(model.path)
    if folder is None and model.architecture.hidden_size:
        return None, ""
    known = known_config(model.path)
    if folder is None and known is not None and cached_file(model, "config.json") is None:
        return known, ""
    file, why = (folder / "config.json", "") if folder else small_file(model, "config.json")
    if file is None:
        return None, why
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, f"there is no {file}"
    except (OSError, ValueError):
        return None, f"{file} cannot be read"
    return (content, "") if isinstance(content, dict) else (None, f"{file} holds no object")


def local_folder(path: str) -> Path | None:
    """`model.path` as a folder; None where it is a hub id. Errors: it is neither."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise UserError(
            f"`model.path` must be a folder or a hub id (owner/name), got {path!r}, which is a file. Give "
            f"model.path={Path(path).parent}, the folder with config.json and the weights."
        )
    if _HUB_ID.fullmatch(path):
        return None
    address = re.match(r"https?://[^/]+/([^/]+/[^/?#]+)", path)
    mend = f"Set model.path={address[1]}." if address else "Check the path; it is relative to the current folder."
    raise UserError(
        f"`model.path` must be a folder or a hub id (owner/name), got {path!r}, and no such folder exists. {mend}"
    )


def _stated(shape: Architecture) -> Sizes | None:
    return Sizes(**asdict(shape)) if shape.hidden_size else None


def _read(content: dict[str, Any]) -> tuple[Sizes | None, str]:
    kind = content.get("model_type")
    if not isinstance(kind, str):
        return None, "its config.json names no model_type"
    if kind not in KNOWN:
        return None, f"networks of the type {kind} are not counted here"
    found: dict[str, Any] = {key: content.get(key) for key in _STATED}
    found |= {key: content.get(key, default) for key, default in zip(_OPEN, KNOWN[kind], strict=True)}
    if found["num_key_value_heads"] is None:
        found["num_key_value_heads"] = found["num_attention_heads"]
    wrong = [key for key in found if not _fits(key, found[key])]
    if wrong:
        return None, f"its config.json has no usable {', '.join(wrong)}"
    return Sizes(model_type=kind, **found), ""


def _fits(key: str, value: Any) -> bool:
    if key == "tie_word_embeddings":
        return isinstance(value, bool)
    return (value is None and key == "head_dim") or (type(value) is int and value > 0)


def check_length(config: Config) -> None:
    """Errors: `trainer.max_length` is more than the model's longest input, where that is known."""
    sizes, _ = sizes_of(config.model)
    length = config.trainer.max_length
    if sizes is not None and length > sizes.max_position_embeddings:
        raise UserError(
            f"`trainer.max_length` must be <= {sizes.max_position_embeddings}, the longest input of "
            f"model={config.model.name}, got {length}."
        )
