"""What is trained of a model: in a checkpoint by name, in one safetensors file; at the end as a folder others load."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from edu_align.data.training import GROUPS_FILE
from edu_align.errors import UserError
from edu_align.processes import is_first
from edu_align.runs.writing import whole_folder, write_json

WEIGHTS = "trained.safetensors"


def save_trained(model: Any, folder: Path) -> None:
    """The trained parameters of the model, by name, in a safetensors file."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    trained = {name: value.detach().contiguous() for name, value in model.named_parameters() if value.requires_grad}
    save_file(trained, folder / WEIGHTS)


def save_weights(model: Any, tokenizer: Any, folder: Path, groups: list[str]) -> None:
    """PEFT's folder of the adapter, or transformers' of the whole model, with the groups that it was trained on.

    It is there whole or not at all. With several processes all of them call this, and the first one writes.
    """
    lora = hasattr(model, "peft_config")
    with whole_folder(folder) if is_first() else nullcontext(folder) as aside:
        model.save_pretrained(str(aside), **({"selected_adapters": ["default"]} if lora else {}))
        if is_first():
            write_json(aside / GROUPS_FILE, groups)
            if not lora:
                tokenizer.save_pretrained(str(aside))


def load_trained(model: Any, folder: Path) -> None:
    """Put the saved parameters into a model that trains the same ones. Errors: it trains others."""
    import torch
    from safetensors.torch import load_file

    saved = load_file(folder / WEIGHTS)
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    if saved.keys() != trained.keys():
        raise UserError(f"{folder} holds other parameters than this run trains. Set force=true to start over.")
    with torch.no_grad():
        for name, value in trained.items():
            value.copy_(saved[name])
