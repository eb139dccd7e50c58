"""What a model's folder must be before anything in it is loaded: safetensors alone, and no code of its own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from edu_align.utils.errors import UserError, first_line

SINGLE = "model.safetensors"  # the weights, where they are one file


def checked_folder(folder: Path) -> Path:
    if not (folder / "config.json").exists():
        raise UserError(
            f"`model.path`: {str(folder)!r} has no config.json. Point it at a folder made by save_pretrained."
        )
    missing = _without_safetensors(folder)
    if missing:
        raise UserError(
            f"`model.path`: {str(folder)!r} {missing}; pickled weights are never loaded. "
            "Convert it with save_pretrained, which writes safetensors."
        )
    return folder


def _without_safetensors(folder: Path) -> str:
    """What of the weights is not there as safetensors, as the rest of a sentence; "" where all is."""
    if (folder / SINGLE).is_file():
        return ""
    index = folder / f"{SINGLE}.index.json"
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
    """The config of a model's folder. Errors: one that cannot be read, or that needs code of its own."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as error:
        raise UserError(
            f"`model.path`: {folder / 'config.json'} cannot be used ({first_line(error)}). "
            "Code in a model's folder is never run: choose a model that transformers knows."
        ) from error


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
