"""TRL's config, the optimizer and the schedule of a run, tried on one number before anything is read or loaded."""

import contextlib
import copy
import math
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edu_align.config.batch import training_steps
from edu_align.config.rules import COMMON_OPTIMIZERS, COMMON_SCHEDULERS
from edu_align.config.schema import (
    GRADED_LOSSES,
    Config,
    DPOTrainerConfig,
    GRPOTrainerConfig,
    KTOTrainerConfig,
    RewardTrainerConfig,
    TrainerConfig,
)
from edu_align.config.trl_args import SCHEDULES
from edu_align.config.trl_options import COMMON, passed, typed
from edu_align.utils.errors import UserError, first_line

STEPS = 100  # of the schedule that is tried
OF_OPTIMIZERS = ("optim_args", "adam_beta1", "adam_beta2", "adam_epsilon")


def try_arguments(config: Config) -> None:
    """Errors: what TRL, the optimizer or the schedule do not take. What is common is not tried: it takes seconds."""
    trainer, hardware = config.trainer, config.hardware
    common = hardware.optimizer in COMMON_OPTIMIZERS and trainer.lr_scheduler in COMMON_SCHEDULERS
    if common and not trainer.args:
        return
    import torch
    import trl
    from transformers import Trainer

    from edu_align.models.device import check_optimizer, resolve
    from edu_align.training.arguments import common_arguments
    from edu_align.training.dpo import dpo_arguments
    from edu_align.training.grpo import grpo_arguments
    from edu_align.training.kto import kto_arguments
    from edu_align.training.reward import reward_arguments

    check_optimizer(hardware)
    device = resolve(config)
    given = " ".join(f"trainer.args.{name}={value}" for name, value in trainer.args.items())
    with TemporaryDirectory() as name:
        folder = Path(name)
        with _named(given or f"trainer.lr_scheduler={trainer.lr_scheduler}"):
            arguments: trl.SFTConfig | trl.DPOConfig | trl.KTOConfig | trl.RewardConfig | trl.GRPOConfig
            if isinstance(trainer, DPOTrainerConfig):
                arguments = dpo_arguments(config, device, folder, by_tokens=True)
            elif isinstance(trainer, KTOTrainerConfig):
                arguments = kto_arguments(config, device, folder, by_tokens=True)
            elif isinstance(trainer, RewardTrainerConfig):
                arguments = reward_arguments(config, device, folder, by_tokens=True)
            elif isinstance(trainer, GRPOTrainerConfig):
                arguments = grpo_arguments(config, device, folder, by_tokens=True)
            else:
                arguments = trl.SFTConfig(**common_arguments(config, device, folder, by_tokens=True))
    number = torch.nn.Parameter(torch.zeros(1))
    with _named(_given(trainer, f"hardware.optimizer={hardware.optimizer}", OF_OPTIMIZERS)):
        kind, options = Trainer.get_optimizer_cls_and_kwargs(arguments)
        kind([number], **options)
        _check_read(config, arguments, options)
    with _named(_given(trainer, f"trainer.lr_scheduler={trainer.lr_scheduler}", ("lr_scheduler_kwargs",))):
        rates = _rates(arguments, number, arguments.lr_scheduler_kwargs)
        optional = arguments.lr_scheduler_kwargs and trainer.lr_scheduler not in SCHEDULES
        if optional and rates and rates == _rates(arguments, number, None):
            raise UserError(
                f"`trainer.args.lr_scheduler_kwargs={arguments.lr_scheduler_kwargs}` does nothing with "
                f"trainer.lr_scheduler={trainer.lr_scheduler}. Drop it."
            )


def check_synced_reference(config: Config, examples: int) -> None:
    """Errors: a reference model that is to follow the policy, in a run that ends before it does."""
    args = typed(config.trainer.args)
    every = args.get("ref_model_sync_steps", passed("DPOConfig")["ref_model_sync_steps"].default)
    steps = training_steps(config, examples)
    if args.get("sync_ref_model") and every >= steps:
        smaller = f"Set ++trainer.args.ref_model_sync_steps to {steps - 1} or less, or drop" if steps > 1 else "Drop"
        raise UserError(
            f"`trainer.args.sync_ref_model=true` does nothing in this run: its reference model follows every {every} "
            f"steps (trainer.args.ref_model_sync_steps), and the run has {steps}. {smaller} "
            "trainer.args.sync_ref_model."
        )


def check_warm_up(config: Config, examples: int) -> None:
    """Errors: a warm-up of all steps of a run, after which transformers' polynomial schedule divides by no step."""
    trainer, steps = config.trainer, training_steps(config, examples)
    if trainer.lr_scheduler == "polynomial" and math.ceil(trainer.warmup_ratio * steps) >= steps:
        most = math.floor(100 * (steps - 1) / steps) / 100
        raise UserError(
            f"`trainer.warmup_ratio={trainer.warmup_ratio}` takes all steps of this run, which has {steps}, and "
            f"trainer.lr_scheduler=polynomial needs one after them. Set trainer.warmup_ratio={most:g} or "
            "less, or trainer.lr_scheduler=linear."
        )


def margin_note(config: Config) -> str:
    """A line where `dataset.training_margin`, which presets set, makes no pair, because single replies are read."""
    trainer, margin = config.trainer, config.dataset.training_margin
    single = trainer.reads == "labels" or getattr(trainer, "reward_loss", "") in GRADED_LOSSES
    if margin is None or not single:
        return ""
    return (
        f"edu_align: dataset.training_margin={margin} does nothing with trainer={trainer.algorithm}, which reads "
        "single replies here."
    )


def dropout_note(config: Config) -> str:
    """A line where `adapter.dropout` draws nothing, because this trainer of TRL's turns it off; else ""."""
    adapter, place = config.adapter, config.trainer.trl_config
    option = passed(place[1]).get("disable_dropout") if place else None
    off = option is not None and config.trainer.args.get("disable_dropout", option.default)
    if adapter.name != "lora" or not adapter.dropout or not off:
        return ""
    return (
        f"edu_align: adapter.dropout={adapter.dropout} does nothing with trainer={config.trainer.algorithm}, whose "
        "scores are taken without dropout. ++trainer.args.disable_dropout=false has it drawn."
    )


def _given(trainer: TrainerConfig, what: str, options: tuple[str, ...]) -> str:
    """`what`, and those of `options` that `trainer.args` has."""
    given = trainer.args
    return " ".join([what, *(f"trainer.args.{name}={given[name]}" for name in options if name in given)])


def _rates(arguments: Any, number: Any, options: Any) -> list[float]:
    """The learning rates of `STEPS` steps; none where the schedule needs a loss. Errors: what the schedule raises."""
    import torch
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([number], lr=arguments.learning_rate)
    schedule: Any = get_scheduler(
        arguments.lr_scheduler_type,
        optimizer=optimizer,
        num_warmup_steps=arguments.get_warmup_steps(STEPS),
        num_training_steps=STEPS,
        scheduler_specific_kwargs=options,
    )
    rates: list[float] = []
    for _ in range(STEPS if isinstance(schedule, torch.optim.lr_scheduler.LambdaLR) else 0):
        rates += schedule.get_last_lr()
        schedule.optimizer.step()
        schedule.step()
    return rates


def _check_read(config: Config, arguments: Any, options: dict[str, Any]) -> None:
    """Errors: an option of the optimizer that it does not read."""
    from transformers import Trainer

    for name in sorted(set(OF_OPTIMIZERS) & set(config.trainer.args)):
        value, default = getattr(arguments, name), COMMON[name].default
        parts = (value or "").split(",") if name == "optim_args" else [value]
        for part in parts:
            rest = ",".join(other for other in parts if other != part) if len(parts) > 1 else default
            plain = copy.copy(arguments)
            setattr(plain, name, rest)
            if value != rest and Trainer.get_optimizer_cls_and_kwargs(plain)[1] == options:
                raise UserError(
                    f"`trainer.args.{name}={part}` does nothing with hardware.optimizer={config.hardware.optimizer}. "
                    "Drop it."
                )


@contextlib.contextmanager
def _named(what: str) -> Iterator[None]:
    """Whatever a library raises in the block, as an error of the keys `what`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"`{what}` cannot be trained with: {first_line(error)}. Set another value.") from error
