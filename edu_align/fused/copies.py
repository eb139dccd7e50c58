"""Whether adapted layers keep the second 16-bit copies of their weights that `fused/lora.py` computes with on a CPU.

Where they are not kept, each is made anew in every pass: the same numbers for half of the memory of the weights.
"""

from typing import Any

from edu_align.config.schema import HardwareConfig
from edu_align.utils.memory import available_memory


def settle_copies(model: Any, hardware: HardwareConfig) -> None:
    """Keep the copies or not, as `hardware.adapted_copies` says, and say so where that was decided for this run.

    A plan has decided `auto` for training (`planning/plan.py`). Elsewhere they are kept where they take no more than
    half of what is left once the model is loaded.
    """
    from edu_align.fused.lora import COPY, copied_weights  # torch, which a plan does without

    layers = list(copied_weights(model))
    size = sum(bytes_of_copy for _, bytes_of_copy in layers)
    if not size:
        return
    keep = hardware.adapted_copies
    if keep == "auto":
        keep = "off" if 2 * size > _room(model, hardware) else "auto"
    for layer, _ in layers:
        setattr(layer, COPY, keep != "off")
    if keep != "auto":
        made = "kept" if keep == "on" else "made anew in every pass"
        print(f"edu_align: second 16-bit copies of adapted weights ({size / 2**30:.2f} GB) are {made}", flush=True)


def _room(model: Any, hardware: HardwareConfig) -> float:
    """Bytes that are left beside the loaded model."""
    if hardware.memory_gb is not None:
        return hardware.memory_gb * 2**30 - sum(weight.nbytes for weight in model.parameters())
    free = available_memory()
    return float("inf") if free is None else free
