"""What this machine has, and what a `hardware` preset becomes on it."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edu_align.config.schema import Config, HardwareConfig, ModelConfig
from edu_align.utils.distributed import count
from edu_align.utils.errors import UserError
from edu_align.utils.files import first_value

NATIVE_BF16_CAPABILITY = 8.0  # CUDA compute capability; a T4 (7.5) only emulates bfloat16, whatever torch says
CPU_BF16_FLAGS = {"amx_bf16", "avx512_bf16"}
SMALL_WIDTH = 256  # units of a layer


@dataclass(frozen=True)
class Device:
    """A preset resolved on this machine: no `auto` is left. `reasons` says why, one sentence a choice."""

    device: str  # cpu | cuda
    dtype: str  # float32 | bfloat16 | float16
    attention: str
    quantization: str
    reasons: tuple[str, ...]
    sharding: str = "none"  # none | fsdp; none wherever one process is alone


def cpu_flags() -> set[str]:
    """Instruction set flags of the CPU; empty where the system has no list of them (not Linux)."""
    return set(first_value(Path("/proc/cpuinfo"), "flags").split())


def is_small(model: ModelConfig) -> bool:
    """Whether a CPU computes the model faster in float32 than in 16 bits: a random one for tests, of narrow layers.

    Its products take less time than the 16-bit kernel of each size takes to be made.
    """
    return model.weights == "random" and model.architecture.hidden_size < SMALL_WIDTH


def resolve(config: Config) -> Device:
    """Resolve every `auto`. Errors: CUDA or a package asked for where it is not, a chip below what the preset needs."""
    import torch

    reasons = []
    hardware = config.hardware
    device = hardware.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
        found = f"found {torch.cuda.get_device_name(0)}" if device == "cuda" else "no CUDA device was found"
        reasons.append(f"device={device}: {found}")
    if device == "cuda":
        _check_cuda(hardware)
    _need(hardware, "quantization", "nf4", "bitsandbytes", "none")
    _need(hardware, "attention", "flash_attention_2", "flash_attn", "auto")
    dtype = hardware.dtype
    if dtype == "auto":
        dtype, why = _auto_dtype(device, is_small(config.model))
        reasons.append(f"dtype={dtype}: {why}")
    attention = hardware.attention
    if attention == "auto":
        attention, why = _auto_attention(device)
        reasons.append(f"attention={attention}: {why}")
    if hardware.threads is not None:
        torch.set_num_threads(hardware.threads)
    sharding = hardware.sharding if count() > 1 else "none"
    return Device(device, dtype, attention, hardware.quantization, tuple(reasons), sharding)


def _check_cuda(hardware: HardwareConfig) -> None:
    import torch

    if not torch.cuda.is_available():
        raise UserError(
            f"`hardware={hardware.name}` needs a CUDA GPU, and torch {torch.__version__} finds none. "
            "Use hardware=cpu (or hardware=auto), or install a CUDA build of torch on a machine with a GPU."
        )
    capability = _capability()
    needed = hardware.min_compute_capability
    if needed is not None and capability < needed:
        raise UserError(
            f"`hardware={hardware.name}` needs compute capability {needed}, got {capability} "
            f"({torch.cuda.get_device_name(0)}). Use hardware=auto or hardware=t4."
        )
    if hardware.dtype == "bfloat16" and capability < NATIVE_BF16_CAPABILITY:
        raise UserError(
            f"`hardware.dtype=bfloat16` needs compute capability {NATIVE_BF16_CAPABILITY}, got {capability}. "
            "Use hardware.dtype=float16."
        )


def _capability() -> float:
    """Compute capability of the first card, 8.6 for (8, 6)."""
    import torch

    major, minor = torch.cuda.get_device_capability(0)
    return major + minor / 10


def check_optimizer(hardware: HardwareConfig) -> None:
    """Errors: an optimizer of bitsandbytes where that is not installed. Only training needs it."""
    for word in ("8bit", "paged"):
        _need(hardware, "optimizer", word, "bitsandbytes", "adamw_torch")


def _need(hardware: HardwareConfig, key: str, word: str, package: str, instead: str) -> None:
    chosen, name = getattr(hardware, key), package.replace("_", "-")
    if word in chosen and find_spec(package) is None:
        raise UserError(
            f"`hardware.{key}={chosen}` needs the package {name}, which is not installed. `pip install {name}`, or set "
            f"hardware.{key}={instead}."
        )


def _auto_attention(device: str) -> tuple[str, str]:
    if device != "cuda":
        return "sdpa", "FlashAttention-2 is for CUDA"
    if _capability() < NATIVE_BF16_CAPABILITY:
        return "sdpa", f"FlashAttention-2 needs compute capability {NATIVE_BF16_CAPABILITY}, got {_capability()}"
    if find_spec("flash_attn") is None:
        return "sdpa", "the flash-attn package is not installed; `pip install flash-attn` makes long inputs faster"
    return "flash_attention_2", "the flash-attn package is installed"


def _auto_dtype(device: str, small: bool) -> tuple[str, str]:
    if device == "cuda":
        if _capability() >= NATIVE_BF16_CAPABILITY:
            return "bfloat16", f"compute capability {_capability()} computes it natively"
        return "float16", f"compute capability {_capability()} has no native bfloat16"
    if small:
        return "float32", "the model is too small to gain from 16 bits"
    found = cpu_flags() & CPU_BF16_FLAGS
    if found:
        return "bfloat16", f"the CPU has {', '.join(sorted(found))}"
    return "float32", "the CPU has no bfloat16 instructions"
