"""What is trained of a model, by name, in one safetensors file: all that a checkpoint needs of it."""

from pathlib import Path
from typing import Any

from edu_align.errors import UserError

WEIGHTS = "trained.safetensors"


def save_trained(model: Any, folder: Path) -> None:
    """The trained parameters of the model, by name, in a safetensors file."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    trained = {name: value.detach().contiguous() for name, value in model.named_parameters() if value.requires_grad}
    save_file(trained, folder / WEIGHTS)


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
