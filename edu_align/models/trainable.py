"""The trainable parameters of a model: by name in a checkpoint; in the end a folder that other programs load."""

import json
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edu_align.data.datamodule import GROUPS_FILE
from edu_align.models.principal import as_ordinary_lora, starts
from edu_align.models.reward import FACTS, facts_of
from edu_align.models.template_choice import TEMPLATE_FILE, unpinned
from edu_align.utils.distributed import is_first
from edu_align.utils.errors import UserError, first_line
from edu_align.utils.files import whole_folder, write_json, write_text

WEIGHTS = "trained.safetensors"


def trainable_parameters(model: Any) -> dict[str, Any]:
    """The trained parameters by name, detached, over the model's own storage: what is copied into one is in the model.

    Of a sharded model they are this process's part of each.
    """
    found = {name: value.detach() for name, value in model.named_parameters() if value.requires_grad}
    return {name: value.to_local() if hasattr(value, "to_local") else value for name, value in found.items()}


def save_trainable(model: Any, folder: Path) -> None:
    """The trained parameters of the model, by name, in a safetensors file; and what an adapter began with, if that
    counts (see models/principal.py).
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(trainable_parameters(model) | starts(model), folder / WEIGHTS)


def save_tensors(tensors: dict[str, Any], file: Path) -> None:
    """A safetensors file of tensors by name, however they lie in memory."""
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in tensors.items()}, file)


def save_weights(
    model: Any, tokenizer: Any, folder: Path, groups: list[str], base: tuple[str | None, str | None], card: str
) -> None:
    """PEFT's folder of the adapter, or transformers' of the whole model, with the groups that it was trained on.

    `base`: what an adapter's config names its base by (see `locate.published`); `card`: the text of its README.md. It
    is complete or not there. With several processes all of them call this, and the first one writes.
    """
    lora = hasattr(model, "peft_config")
    with whole_folder(folder) if is_first() else nullcontext(folder) as aside:
        saved: Any = as_ordinary_lora(model) if lora else nullcontext({})
        with saved as how:
            model.save_pretrained(str(aside), **how, **({"selected_adapters": ["default"]} if lora else {}))
        if is_first():
            if facts := facts_of(model):
                write_json(aside / FACTS, facts)
            write_json(aside / GROUPS_FILE, groups)
            write_text(aside / "README.md", card)  # PEFT leaves a form to fill in
            if lora:
                _name_base(aside / "adapter_config.json", *base)
            template, tokenizer.chat_template = tokenizer.chat_template, unpinned(tokenizer.chat_template)
            tokenizer.save_pretrained(str(aside))
            write_text(aside / TEMPLATE_FILE, tokenizer.chat_template)
            tokenizer.chat_template = template


def _name_base(file: Path, name: str | None, revision: str | None) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    write_json(file, content | {"base_model_name_or_path": name, "revision": revision})


def try_saving(model: Any, tokenizer: Any) -> None:
    """Write what stands beside the weights in the end, and throw it away. Errors: some of it cannot be written.

    So a base whose settings cannot be saved is known before the first step, not after the last one.
    """
    beside = {"config.json": model.config}
    if facts_of(model) is None:
        beside["generation_config.json"] = model.generation_config
    if hasattr(model, "peft_config"):
        beside = {"adapter_config.json": model.peft_config["default"]}
    beside["tokenizer"] = tokenizer
    with TemporaryDirectory() as folder:
        for name, each in beside.items():
            try:
                each.save_pretrained(folder)
            except (ValueError, TypeError, AttributeError, KeyError) as error:
                raise UserError(
                    f"`model.path`: what is trained could not be saved in the end: {name} cannot be written "
                    f"({first_line(error, 200)}). Mend that file in the base model's folder."
                ) from error


def load_trainable(model: Any, folder: Path) -> None:
    """Put the saved parameters into a model that trains the same ones. Errors: it trains others."""
    from safetensors.torch import load_file

    saved, own = load_file(folder / WEIGHTS), trainable_parameters(model) | starts(model)
    if saved.keys() != own.keys():
        raise UserError(f"{folder} holds other parameters than this run trains. Set force=true to start over.")
    for name, value in own.items():
        value.copy_(saved[name])
