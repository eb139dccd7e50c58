"""The trainable parameters of a model: by name in a checkpoint; in the end a folder that other programs load."""

import json
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edu_align.data.datamodule import GROUPS_FILE
from edu_align.models.principal import as_ordinary_lora, starts
from edu_align.models.reward import FACTS, facts_of
from edu_align.models.sharding import is_sharded, release_gathered_weights
from edu_align.models.shards import any_part, cut_like, local, part_like, read_parts, write_parts
from edu_align.models.template_choice import TEMPLATE_FILE, unpinned
from edu_align.utils.distributed import is_first
from edu_align.utils.errors import UserError, first_line
from edu_align.utils.files import whole_folder, write_json, write_text

WEIGHTS = "trained.safetensors"  # in a checkpoint; of a sharded model the folder `trained`


def trainable_parameters(model: Any) -> dict[str, Any]:
    """The trained parameters by name, detached, over the model's own storage: what is copied into one is in the model.

    Of a sharded model they are this process's part of each; what an evaluation has left gathered is freed first.
    """
    return {name: local(value) for name, value in _trained(model).items()}


def _trained(model: Any) -> dict[str, Any]:
    if is_sharded(model):
        release_gathered_weights(model)
    return {name: value.detach() for name, value in model.named_parameters() if value.requires_grad}


def save_trainable(model: Any, folder: Path) -> None:
    """The trained parameters of the model, by name; and what an adapter began with, if that counts (see
    models/principal.py). All processes call it.
    """
    save_beside(model, trainable_parameters(model) | starts(model), folder / WEIGHTS)


def save_beside(model: Any, tensors: dict[str, Any], file: Path) -> None:
    """Tensors by the names of trained parameters: whole in a safetensors file that the first process writes, or each
    process's part of them in a folder of that name (see models/shards.py). All processes call it.
    """
    trained = _trained(model)
    if any_part(trained.values()):
        write_parts({name: part_like(value, trained.get(name)) for name, value in tensors.items()}, _parts(file))
    elif is_first():
        file.parent.mkdir(parents=True, exist_ok=True)
        save_tensors(tensors, file)


def load_beside(model: Any, file: Path) -> dict[str, Any]:
    """What `save_beside` saved, whole or in other parts, as `trainable_parameters` has it."""
    from safetensors.torch import load_file

    trained = _trained(model)
    if _parts(file).is_dir():
        found = read_parts(_parts(file), trained.get, model.device)
    else:
        found = {name: cut_like(value, trained.get(name)) for name, value in load_file(file).items()}
    return {name: local(value).to(model.device) for name, value in found.items()}


def is_saved(file: Path) -> bool:
    """Whether `save_beside` saved something there."""
    return file.is_file() or _parts(file).is_dir()


def _parts(file: Path) -> Path:
    return file.with_suffix("")


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
    saved, own = load_beside(model, folder / WEIGHTS), trainable_parameters(model) | starts(model)
    if saved.keys() != own.keys():
        raise UserError(f"{folder} holds other parameters than this run trains. Set force=true to start over.")
    for name, value in own.items():
        value.copy_(saved[name])
