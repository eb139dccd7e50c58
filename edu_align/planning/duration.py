"""How long the steps take: floating-point operations over what the device delivers. A rough figure, and said to be.

And what a run takes on the disk: checkpoints while it trains, the weights that stay, an export where one is made.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from edu_align.config.losses import has_reference
from edu_align.config.schema import BEST, Config, GRPOTrainerConfig, KTOTrainerConfig
from edu_align.planning.machine import Machine
from edu_align.planning.memory import TRAINED_WIDTH, WIDTH, optimizer_bytes
from edu_align.planning.parameters import count_parameters, parameters
from edu_align.planning.workload import Work
from edu_align.utils.files import free_bytes

GPU_SHARE = 0.25  # of the data sheet's peak; assumed, not measured
CPU_SHARE = 0.55  # of a float32 matrix product on all cores; read off DPO runs of smollm2 on an AMD EPYC with 2 cores
SIZE = 768  # of the matrices that are multiplied to learn what a CPU delivers


def operations(config: Config, work: Work) -> float | None:
    """Floating-point operations of all steps: 2 a parameter and token forward, 2 back to the inputs, 2 more to full
    weights, 2 more where activations are recomputed, and 2 for a reference model (Kaplan et al. 2020, table 1). KTO's
    KL term takes 2 more of both models.
    """
    if work.total_tokens is None:
        return None
    passes = (
        4 + 2 * (config.adapter.name == "full") + 2 * (config.hardware.gradient_checkpointing in ("full", "offload"))
    )
    passes += 2 * has_reference(config.trainer)
    if isinstance(config.trainer, KTOTrainerConfig):
        passes += 4 * (config.trainer.loss_type == "kto")
    if isinstance(config.trainer, GRPOTrainerConfig):
        passes += 2 * (config.trainer.beta > 0)
    return float(passes) * parameters(config.model.architecture) * work.total_tokens


def seconds(config: Config, machine: Machine, work: Work) -> tuple[float, str] | None:
    """Seconds of training, and what the figure rests on; None where tokens or device are unknown."""
    needed = operations(config, work)
    if needed is None:
        return None
    if machine.device == "cuda":
        if machine.peak is None:
            return None
        rests = f"{GPU_SHARE:.0%} of the {machine.peak:.0f} TFLOP/s of the data sheet, assumed"
        return needed / (GPU_SHARE * machine.peak * 1e12), rests
    rate = CPU_SHARE * _matrix_product()
    return needed / rate, f"{rate / 1e9:.0f} GFLOP/s, {CPU_SHARE:.0%} of a float32 matrix product timed just now"


def _matrix_product() -> float:
    """Operations a second of a float32 matrix product in numpy, the best of five."""
    import numpy as np

    left = np.random.default_rng(0).random((SIZE, SIZE), dtype=np.float32)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        left @ left
        best = min(best, time.perf_counter() - began)
    return 2.0 * SIZE**3 / best


GB = 2**30
STORED = 2  # bytes a number of the bases that can be had, which export.dtype=auto keeps
# Bytes a number: those of a block, scales and all, over its numbers. The mixtures (_m, _s) hold some larger blocks.
GGUF = {
    "f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 34 / 32, "q5_1": 24 / 32, "q5_0": 22 / 32, "q4_1": 20 / 32,
    "q4_0": 18 / 32, "q6_k": 210 / 256, "q5_k_m": 176 / 256, "q5_k_s": 176 / 256, "q4_k_m": 144 / 256,
    "q4_k_s": 144 / 256, "q3_k_m": 110 / 256,
}  # fmt: skip


def checkpoint_bytes(config: Config) -> float:
    """One checkpoint: what is trained, in float32, the mean of it where `trainer.average_last` asks for one, the best
    where `trainer.keep` does, and the optimizer's state; 0 where none is kept.

    Random states, numbers and the manifest are some 30 KB besides, whatever the number of steps.
    """
    if config.trainer.save_steps is None:
        return 0.0
    kept = TRAINED_WIDTH * (2 if config.trainer.average_last or config.trainer.keep == BEST else 1)
    return _trained(config) * (kept + optimizer_bytes(config.hardware.optimizer))


def weights_bytes(config: Config) -> float:
    """The adapter or the whole model that a finished run keeps, in float32."""
    return float(_trained(config) * TRAINED_WIDTH)


def _trained(config: Config) -> int:
    return count_parameters(config.model.architecture, config.adapter).trained


def export_bytes(config: Config) -> float:
    """The merged model that `edu_align.export` writes, and its GGUF where one is asked for."""
    dtype, gguf = config.export.dtype, config.export.gguf
    width = (STORED if dtype == "auto" else WIDTH[dtype]) + (GGUF[gguf] if gguf is not None else 0.0)
    return parameters(config.model.architecture) * width


def describe_disk(config: Config) -> Iterator[str]:
    """Lines of a plan. The largest moment has one checkpoint more than are kept: the one that is being written."""
    one, most = checkpoint_bytes(config), config.trainer.save_total_limit
    held, weights = one * (most + 1), weights_bytes(config)
    yield "disk       GB (2^30 bytes) below outputs_root"
    if one:
        yield (
            f"  {'checkpoints':<19}{held / GB:8.2f}  {most + 1} of {one / GB:.3f}: trainer.save_total_limit={most} and "
            "the one being written; none when the run is done"
        )
    yield f"  {'adapter' if config.adapter.name == 'lora' else 'model':<19}{weights / GB:8.2f}"
    free = free_bytes(Path(config.outputs_root))
    verdict = "enough" if held + weights <= free else "NOT ENOUGH"
    yield f"  {'in all':<19}{(held + weights) / GB:8.2f}  of {free / GB:.2f} that are free: {verdict}"
    yield f"  {'export':<19}{export_bytes(config) / GB:8.2f}  where edu_align.export makes one"
    yield f"  {'shared cache':<19}{config.cache_gb * 1e9 / GB:8.2f}  at most (cache_gb)"
