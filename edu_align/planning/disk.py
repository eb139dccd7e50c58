"""What a run takes on the disk: checkpoints while it trains, the weights that stay, and an export where one is made."""

from collections.abc import Iterator
from pathlib import Path

from edu_align.config.batch import keeps_checkpoints
from edu_align.config.schema import Config
from edu_align.planning.memory import TRAINED_WIDTH, WIDTH, optimizer_bytes
from edu_align.planning.parameters import count_parameters, parameters
from edu_align.utils.files import free_bytes

GB = 2**30
STORED = 2  # bytes a number of the bases that can be had, which export.dtype=auto keeps
GGUF = {"f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 34 / 32}  # bytes a number; q8_0: 32 of one byte and a scale of two


def checkpoint_bytes(config: Config) -> float:
    """One checkpoint: what is trained, in float32, the mean of it where `trainer.average_last` asks for one, and the
    optimizer's state; 0 where none is kept.

    Random states, numbers and the manifest are some 30 KB besides, whatever the number of steps.
    """
    if not keeps_checkpoints(config):
        return 0.0
    kept = TRAINED_WIDTH * (2 if config.trainer.average_last else 1)
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
