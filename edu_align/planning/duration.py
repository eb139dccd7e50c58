"""How long the steps take: floating-point operations over what the device delivers. A rough figure, and said to be."""

import time

from edu_align.config.schema import Config, DPOTrainerConfig
from edu_align.planning.machine import Machine
from edu_align.planning.parameters import parameters
from edu_align.planning.workload import Work

GPU_SHARE = 0.25  # of the data sheet's peak; assumed, not measured
CPU_SHARE = 0.55  # of a float32 matrix product on all cores; read off DPO runs of smollm2 on an AMD EPYC with 2 cores
SIZE = 768  # of the matrices that are multiplied to learn what a CPU delivers


def operations(config: Config, work: Work) -> float | None:
    """Floating-point operations of all steps: 2 a parameter and token forward, 2 back to the inputs, 2 more to full
    weights, 2 more where activations are recomputed, and 2 for the reference model (Kaplan et al. 2020, table 1).
    """
    if work.total_tokens is None:
        return None
    passes = 4 + 2 * (config.adapter.name == "full") + 2 * config.hardware.gradient_checkpointing
    passes += 2 * isinstance(config.trainer, DPOTrainerConfig)
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
