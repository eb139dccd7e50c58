"""The trainable parameters of a model: by name in a checkpoint; in the end a folder that other programs load."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from edu_align.data.datamodule import GROUPS_FILE
from edu_align.models.template_choice import TEMPLATE_FILE, unpinned
from edu_align.utils.distributed import is_first
from edu_align.utils.errors import UserError
from edu_align.utils.files import whole_folder, write_json, write_text

WEIGHTS = "trained.safetensors"


def trainable_parameters(model: Any) -> dict[str, Any]:
    """The trained parameters by name, detached, over the model's own storage: what is copied into one is in the model.

    Of a sharded model they are this process's part of each.
    """
    found = {name: value.detach() for name, value in model.named_parameters() if value.requires_grad}
    return {name: value.to_local() if hasattr(value, "to_local") else value for name, value in found.items()}


def save_trainable(model: Any, folder: Path) -> None:
    """The trained parameters of the model, by name, in a safetensors file."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(trainable_parameters(model), folder / WEIGHTS)


def save_tensors(tensors: dict[str, Any], file: Path) -> None:
    """A safetensors file of tensors by name, however they lie in memory."""
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in tensors.items()}, file)


def save_weights(model: Any, tokenizer: Any, folder: Path, groups: list[str]) -> None:
    """PEFT's folder of the adapter, or transformers' of the whole model, with the groups that it was trained on.

    It is complete or not there. With several processes all of them call this, and the first one writes.
    """
    lora = hasattr(model, "peft_config")
    with whole_folder(folder) if is_first() else nullcontext(folder) as aside:
        model.save_pretrained(str(aside), **({"selected_adapters": ["default"]} if lora else {}))
        if is_first():
            write_json(aside / GROUPS_FILE, groups)
            template, tokenizer.chat_template = tokenizer.chat_template, unpinned(tokenizer.chat_template)
            write_text(aside / TEMPLATE_FILE, tokenizer.chat_template)
            if not lora:
                tokenizer.save_pretrained(str(aside))
            tokenizer.chat_template = template


def load_trainable(model: Any, folder: Path) -> None:
    """Put the saved parameters into a model that trains the same ones. Errors: it trains others."""
    from safetensors.torch import load_file

    saved, own = load_file(folder / WEIGHTS), trainable_parameters(model)
    if saved.keys() != own.keys():
        raise UserError(f"{folder} holds other parameters than this run trains. Set force=true to start over.")
    for name, value in own.items():
        value.copy_(saved[name])
