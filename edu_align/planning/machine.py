"""The device that a plan is for, found out without torch: what `hardware` names, else what the machine has."""

import shutil
import subprocess
from dataclasses import dataclass

from edu_align.config.schema import Config
from edu_align.models.device import CPU_BF16_FLAGS, NATIVE_BF16_CAPABILITY, cpu_flags, is_small
from edu_align.utils.errors import UserError
from edu_align.utils.memory import available_memory

# Peak of dense 16-bit matrix products in TFLOP/s, from NVIDIA's data sheets (T4, A100, H100 SXM, H200 SXM).
PEAKS = {"t4": 65.0, "a100": 312.0, "h100": 989.0, "h200": 989.0}
QUESTION = ["nvidia-smi", "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits"]


@dataclass(frozen=True)
class Machine:
    """`budget`: bytes that the run may take, None where it is unknown; `source`: who sets it. `peak`: TFLOP/s."""

    device: str  # cpu | cuda
    dtype: str  # float32 | bfloat16 | float16
    budget: int | None
    source: str
    peak: float | None


def machine_of(config: Config) -> Machine:
    """Every `auto` of the preset resolved as `models.device.resolve` does, as far as that can be known without torch.

    A preset that names a GPU is planned for that GPU, wherever the plan is made.
    """
    hardware = config.hardware
    gpu = first_gpu() if hardware.device == "auto" else None
    device = hardware.device if hardware.device != "auto" else ("cuda" if gpu else "cpu")
    name = gpu[0].lower() if gpu else hardware.name
    dtype = hardware.dtype if hardware.dtype != "auto" else _dtype(device, gpu, config)
    peak = next((value for key, value in PEAKS.items() if key in name), None) if device == "cuda" else None
    if hardware.memory_gb is not None:
        return Machine(device, dtype, int(hardware.memory_gb * 2**30), "hardware.memory_gb", peak)
    if gpu:
        return Machine(device, dtype, gpu[1] << 20, gpu[0], peak)
    if device == "cpu" and (free := available_memory()):
        return Machine(device, dtype, free, "memory that is available now", peak)
    return Machine(device, dtype, None, "", peak)


def check_offload(config: Config, device: str) -> None:
    """Errors: activations would wait in the host's memory, and are there already."""
    if config.hardware.gradient_checkpointing == "offload" and device == "cpu":
        raise UserError(
            "`hardware.gradient_checkpointing=offload` moves activations from a GPU to the host's memory, and this run "
            "is on a CPU, where it frees nothing. Set hardware.gradient_checkpointing=selective or full."
        )


def _dtype(device: str, gpu: tuple[str, int, float] | None, config: Config) -> str:
    if device == "cpu":
        return "bfloat16" if cpu_flags() & CPU_BF16_FLAGS and not is_small(config.model) else "float32"
    capability = gpu[2] if gpu else config.hardware.min_compute_capability or NATIVE_BF16_CAPABILITY
    return "bfloat16" if capability >= NATIVE_BF16_CAPABILITY else "float16"


def first_gpu() -> tuple[str, int, float] | None:
    """Name, memory in MiB and compute capability of the first GPU, None where there is none."""
    if shutil.which(QUESTION[0]) is None:
        return None
    try:
        answer = subprocess.run(QUESTION, capture_output=True, text=True, timeout=10, check=True).stdout
        name, memory, capability = (part.strip() for part in answer.split("\n")[0].split(","))
        return name, int(memory), float(capability)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
