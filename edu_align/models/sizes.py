"""How large a model is, read without torch: from config.json in its folder, the hub's cache or the hub, or a GGUF file.

A preset's sizes stand for its own model alone (config/compose.py). What cannot be known is said, never assumed.
"""

import json
import os
import re
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from edu_align.config.schema import Architecture, Config, ModelConfig
from edu_align.models.gguf_config import config_of
from edu_align.models.gguf_file import SUFFIX, gguf_file, read_header
from edu_align.models.language_model import WRAPPED, is_wrapped, own_content
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
    "olmo2": (None, None, 2048, False),
}
# What transformers takes for those of _STATED that Gemma 3 4B's config.json leaves out.
_UNSTATED = {"gemma3_text": (262208, 2304, 9216, 26, 8)}
# Sizes of the presets' models as their config.json states them, for planning where the hub is out of reach. Whatever a
# folder's or the hub cache's own config.json says counts before this. Of a model that also sees pictures they are its
# language model's.
_ORDER = (
    "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "max_position_embeddings", "tie_word_embeddings",
)  # fmt: skip
_SIZES: dict[str, tuple[Any, ...]] = {
    "Qwen/Qwen3-0.6B": ("qwen3", 151936, 1024, 3072, 28, 16, 8, 128, 40960, True),
    "Qwen/Qwen3-1.7B": ("qwen3", 151936, 2048, 6144, 28, 16, 8, 128, 40960, True),
    "Qwen/Qwen3-4B": ("qwen3", 151936, 2560, 9728, 36, 32, 8, 128, 40960, True),
    "Qwen/Qwen2.5-0.5B-Instruct": ("qwen2", 151936, 896, 4864, 24, 14, 2, None, 32768, True),
    "Qwen/Qwen2.5-1.5B-Instruct": ("qwen2", 151936, 1536, 8960, 28, 12, 2, None, 32768, True),
    "Qwen/Qwen2.5-7B-Instruct": ("qwen2", 152064, 3584, 18944, 28, 28, 4, None, 32768, False),
    "meta-llama/Llama-3.2-1B-Instruct": ("llama", 128256, 2048, 8192, 16, 32, 8, 64, 131072, True),
    "meta-llama/Llama-3.2-3B-Instruct": ("llama", 128256, 3072, 8192, 28, 24, 8, 128, 131072, True),
    "meta-llama/Llama-3.1-8B-Instruct": ("llama", 128256, 4096, 14336, 32, 32, 8, None, 131072, False),
    "google/gemma-3-270m-it": ("gemma3_text", 262144, 640, 2048, 18, 4, 1, 256, 32768, True),
    "google/gemma-3-1b-it": ("gemma3_text", 262144, 1152, 6912, 26, 4, 1, 256, 32768, True),
    "google/gemma-3-4b-it": ("gemma3", 262208, 2560, 10240, 34, 8, 4, 256, 131072, True),
    "HuggingFaceTB/SmolLM2-360M-Instruct": ("llama", 49152, 960, 2560, 32, 15, 5, None, 8192, True),
    "HuggingFaceTB/SmolLM2-1.7B-Instruct": ("llama", 49152, 2048, 8192, 24, 32, 32, None, 8192, True),
    "HuggingFaceTB/SmolLM3-3B": ("smollm3", 128256, 2048, 11008, 36, 16, 4, None, 65536, True),
    "microsoft/Phi-4-mini-instruct": ("phi3", 200064, 3072, 8192, 32, 24, 8, None, 131072, True),
}
# What else of a config.json a plan must know: how positions turn, where the length of the rows changes it.
_TURNS = {
    "microsoft/Phi-4-mini-instruct": {
        "rope_scaling": {"type": "longrope"}, "original_max_position_embeddings": 4096,
    },
}  # fmt: skip
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass
class Sizes(Architecture):
    """Known ones. `head_dim` is None where it is hidden_size / num_attention_heads.

    `is_part`: they are those of the language model of a model that also sees pictures. `content`: its whole
    config.json, as far as it is known.
    """

    head_dim: int | None = None
    is_part: bool = False
    content: dict[str, Any] = field(default_factory=dict)


def head_width(shape: Architecture) -> int:
    """Width of one head, in units."""
    stated = shape.head_dim if isinstance(shape, Sizes) else None
    return stated or shape.hidden_size // shape.num_attention_heads


def is_part(shape: Architecture) -> bool:
    """Whether they are those of a model's language model alone."""
    return isinstance(shape, Sizes) and shape.is_part


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
    """What config.json of `model.path` holds, or would of a GGUF file; None and the reason where it cannot be read.

    Errors: as `sizes_of`, and a GGUF file that is no base model.

    A preset's own model is not asked for at the hub: its sizes stand in the preset or in `_SIZES`.
    """
    assert model.path is not None
    if file := gguf_file(model.path):
        return config_of(read_header(file)), ""
    folder = local_folder(model.path)
    if folder is None and model.architecture.hidden_size:
        return None, ""
    if folder is None and (known := known_config(model.path)) and cached_file(model, "config.json") is None:
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


def known_config(path: str) -> dict[str, Any] | None:
    """What the config.json at this hub id says of its sizes; None where it is not listed here."""
    sizes = _SIZES.get(path)
    if sizes is None:
        return None
    content = dict(zip(_ORDER, sizes, strict=True)) | _TURNS.get(path, {})
    return {"model_type": sizes[0], "text_config": content} if sizes[0] in WRAPPED else content


def local_folder(path: str) -> Path | None:
    """`model.path`, which is no GGUF file, as a folder; None where it is a hub id. Errors: it is neither."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise UserError(
            f"`model.path` must be a folder, a {SUFFIX} file or a hub id (owner/name), got {path!r}, which is another "
            f"file. Give model.path={Path(path).parent}, the folder with config.json and the weights."
        )
    if folder.suffix.lower() == SUFFIX:
        raise UserError(
            f"`model.path={path}`: there is no such file. Check the path; it is relative to the current folder."
        )
    if _HUB_ID.fullmatch(path):
        return None
    address = re.match(r"https?://[^/]+/([^/]+/[^/?#]+)", path)
    mend = f"Set model.path={address[1]}." if address else "Check the path; it is relative to the current folder."
    raise UserError(
        f"`model.path` must be a folder, a {SUFFIX} file or a hub id (owner/name), got {path!r}, and no such folder "
        f"exists. {mend}"
    )


def _stated(shape: Architecture) -> Sizes | None:
    return Sizes(**asdict(shape)) if shape.hidden_size else None


def _read(content: dict[str, Any]) -> tuple[Sizes | None, str]:
    if not isinstance(content.get("model_type"), str):
        return None, "its config.json names no model_type"
    part, content = is_wrapped(content), own_content(content)
    kind = content["model_type"]
    if kind not in KNOWN:
        return None, f"networks of the type {kind} are not counted here"
    unstated = _UNSTATED.get(kind, (None,) * len(_STATED))
    found: dict[str, Any] = {key: content.get(key, default) for key, default in zip(_STATED, unstated, strict=True)}
    found |= {key: content.get(key, default) for key, default in zip(_OPEN, KNOWN[kind], strict=True)}
    if found["num_key_value_heads"] is None:
        found["num_key_value_heads"] = found["num_attention_heads"]
    wrong = [key for key in found if not _fits(key, found[key])]
    if wrong:
        return None, f"its config.json has no usable {', '.join(wrong)}"
    return Sizes(model_type=kind, is_part=part, content=content, **found), ""


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
