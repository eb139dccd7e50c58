"""How far the plan is from the measured peak memory of a 7B network in 4 bits: the nearest that a CPU comes to a T4.

DPO of Mistral-7B's shape with the settings of `hardware=t4` that a CPU has: nf4, one pair a pass, gradient
checkpointing; two steps of one pair, cut at 512 tokens (a token is a byte). The weights are random, and lie on the disk
as those of a model from the hub: 14.5 GB in bfloat16, removed at the end.
"""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.plan_error import row
from edu_align.utils.errors import UserError
from edu_align.utils.files import free_bytes

ON_REQUEST = True
DISK = 16 * 2**30  # bytes
WORDS = [
    "trainer=dpo", "trainer.batch_size=1", "trainer.max_length=512", "trainer.max_steps=2", "model.tokenizer=bytes",
    "hardware.quantization=nf4", "hardware.per_device_batch_size=1", "hardware.gradient_checkpointing=true",
    "dataset.max_train_records=2", "dataset.max_eval_records=1",
]  # fmt: skip


def measure(model: tuple[str, ...] = ("model=mistral",), name: str = "dpo_nf4_7b") -> list[dict[str, Any]]:
    """One row as in `plan_error`; `model` gives the network's shape. Errors: too little room for the weights."""
    free = free_bytes(Path(tempfile.gettempdir()))
    if free < DISK:
        raise UserError(
            f"the weights take {DISK / 2**30:.0f} GiB in {tempfile.gettempdir()}, and {free / 2**30:.1f} are free. "
            "Set TMPDIR to a folder with more room."
        )
    with tempfile.TemporaryDirectory(prefix="edu_align-random-") as folder:
        save_random_model(Path(folder), *model)
        return [row(name, [f"model={folder}", *WORDS])]


def save_random_model(folder: Path, *model: str) -> None:
    """Weights in bfloat16, a file a layer, of which one is in memory at a time. Norms are ones."""
    import json

    import torch
    from omegaconf import OmegaConf
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    from edu_align.config.compose import compose
    from edu_align.models.locate import architecture

    config: Any = OmegaConf.to_object(compose([*model, "tracking=off"]))
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(architecture(config.model), dtype=torch.bfloat16)
    network.config.save_pretrained(folder)
    files: dict[str, list[str]] = {}
    for key in network.state_dict():  # model.layers.<n>.<...>, or of no layer
        layer = key.split(".")[2] if key.startswith("model.layers.") else "rest"
        files.setdefault(f"model-{layer}.safetensors", []).append(key)
    shapes = network.state_dict()
    for file, keys in files.items():
        tensors = {key: torch.ones(shapes[key].shape, dtype=torch.bfloat16) for key in keys}
        for tensor in tensors.values():
            if tensor.dim() > 1:
                tensor.normal_(std=0.02)
        save_file(tensors, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {key: file for file, keys in files.items() for key in keys}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
