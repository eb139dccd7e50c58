"""What SFT, DPO and KTO share on the way from a typed config to TRL's arguments."""

from pathlib import Path
from typing import Any

from edu_align.config.batch import accumulation, device_batch
from edu_align.config.schema import Config
from edu_align.config.trl_options import typed
from edu_align.models.device import Device
from edu_align.training.validation import validation_batch


def common_arguments(config: Config, device: Device, folder: Path, by_tokens: bool) -> dict[str, Any]:
    """Keyword arguments that TRL's SFTConfig, DPOConfig and KTOConfig all take.

    Mixed precision is on only where the weights are 16 bits wide: TRL would turn bfloat16 on by itself otherwise.
    """
    trainer, hardware = config.trainer, config.hardware
    return {
        "output_dir": str(folder),
        "seed": config.seed,
        "data_seed": config.seed,
        "learning_rate": trainer.learning_rate,
        "num_train_epochs": trainer.epochs,
        "max_steps": trainer.max_steps,
        "per_device_train_batch_size": device_batch(config, by_tokens),
        "per_device_eval_batch_size": validation_batch(config),
        "gradient_accumulation_steps": accumulation(config, by_tokens),
        "activation_checkpointing": hardware.gradient_checkpointing != "false",
        "optim": hardware.optimizer,
        "lr_scheduler_type": trainer.lr_scheduler,
        "warmup_steps": trainer.warmup_ratio,  # transformers reads a number below 1 as a share of the steps
        "weight_decay": trainer.weight_decay,
        "max_grad_norm": trainer.max_grad_norm,
        "max_length": trainer.max_length,
        "bf16": device.dtype == "bfloat16",
        "fp16": device.dtype == "float16",
        "use_cpu": device.device == "cpu",
        "logging_steps": trainer.logging_steps,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,  # it would put the average of earlier losses in place of one that is NaN
        "eval_strategy": "no" if trainer.eval_steps is None else "steps",
        "eval_steps": trainer.eval_steps,
        "save_strategy": "no" if trainer.save_steps is None else "steps",
        "save_steps": trainer.save_steps or 1,
        # transformers refuses to be built for more with sharded weights; `ResumableTraining` does the rest.
        "save_only_model": device.sharding != "none",
        "report_to": [],
        "disable_tqdm": True,  # the recorder draws one bar of its own
        "dataloader_pin_memory": device.device == "cuda",
        "ddp_find_unused_parameters": False,  # every trained parameter takes part in every step
        **typed(trainer.args),
    }
