"""How the examples of a step are divided among processes and forward passes, by examples or by tokens."""

import math

from edu_align.config.schema import COMPARING_LOSSES, Config, GRPOTrainerConfig
from edu_align.utils.distributed import count
from edu_align.utils.errors import UserError

SHARED = ("sft", "dpo")  # methods whose steps several processes share by tokens, see training/shares.py


def cuts_by_tokens(packed: bool, algorithm: str) -> bool:
    """Whether a step's examples are cut by `token_budget`: in a packed model, trained by one process, or by several
    that share the step by what its examples cost.
    """
    return packed and (count() == 1 or algorithm in SHARED)


def device_batch(config: Config, by_tokens: bool) -> int:
    """Examples that one process gets at once: what fits on the device, never more than its share of the batch.

    A trainer that cuts by tokens gets its whole share.
    """
    share = config.trainer.batch_size // count()
    if by_tokens:
        return share
    fits = max(1, min(config.hardware.per_device_batch_size, share))
    return max(size for size in range(1, fits + 1) if share % size == 0)


def accumulation(config: Config, by_tokens: bool) -> int:
    """Batches per optimizer step, so that all processes together take `trainer.batch_size` examples a step."""
    return config.trainer.batch_size // (device_batch(config, by_tokens) * count())


def training_steps(config: Config, examples: int) -> int:
    """Optimizer steps of a run on that many examples."""
    if config.trainer.max_steps > 0:
        return config.trainer.max_steps
    steps = -(-examples // config.trainer.batch_size)
    if isinstance(config.trainer, GRPOTrainerConfig):
        steps = examples // prompts_per_step(config.trainer) * config.trainer.num_iterations
    return max(math.ceil(config.trainer.epochs * max(steps, 1)), 1)


def prompts_per_step(trainer: GRPOTrainerConfig) -> int:
    """Dialogues that the replies of a step answer. An epoch leaves out the last ones where they fill no step."""
    return trainer.batch_size // trainer.num_generations


def token_budget(config: Config) -> int:
    """Tokens that one packed forward pass computes at most; no step has more where the loss compares its pairs."""
    longest, sides = config.trainer.max_length, 2
    if getattr(config.trainer, "loss_type", "") in COMPARING_LOSSES:
        return config.trainer.batch_size * sides * longest
    return config.hardware.per_device_batch_size * longest


def reference_batch(config: Config, by_tokens: bool) -> int:
    """Pairs that the reference model gets at once before training: whole steps, whose prompts are whole, where
    `token_budget` cuts them; what fits otherwise.
    """
    fits, step = config.hardware.eval_batch_size, config.trainer.batch_size
    return -(-fits // step) * step if by_tokens else fits


def check_batch(config: Config) -> None:
    """Errors: `trainer.batch_size` cannot be divided evenly among the processes, or a share of it to forward passes."""
    batch, processes = config.trainer.batch_size, count()
    share, rest = divmod(batch, processes)
    if rest or not share:
        near = [size for size in (share * processes, (share + 1) * processes) if size > 0]
        raise UserError(
            f"`trainer.batch_size={batch}` cannot be dealt out evenly to {processes} processes. Use trainer.batch_size="
            f"{' or '.join(map(str, near))}, or launch another number of processes."
        )
    fits = min(config.hardware.per_device_batch_size, share)
    if share % fits:
        whole = max(size for size in range(1, fits + 1) if share % size == 0)
        raise UserError(
            f"each of {processes} processes takes {share} examples a step (trainer.batch_size={batch}), which "
            f"`hardware.per_device_batch_size={fits}` does not divide. Use hardware.per_device_batch_size={whole}."
        )
