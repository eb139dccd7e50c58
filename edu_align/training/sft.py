"""Supervised fine-tuning: the negative log-likelihood of the flagged assistant turns, through TRL's SFTTrainer."""

from pathlib import Path
from typing import Any

import trl

from edu_align.cache.run_cache import RunCache
from edu_align.config.batch import cuts_by_tokens
from edu_align.config.schema import Config
from edu_align.models.device import Device
from edu_align.packing.decoder import is_packed
from edu_align.packing.noise import noise_on_embeddings
from edu_align.training.arguments import common_arguments
from edu_align.training.divergence import StopOnDivergence
from edu_align.training.lora_plus import LoraPlus
from edu_align.training.micro_batches import MicroBatches, MicroBatching
from edu_align.training.resume import ResumableTraining
from edu_align.training.rows import Rows
from edu_align.training.trl_dataset import as_dataset, attach_row_ids
from edu_align.training.validation import Validation


class SFTTrainer(StopOnDivergence, ResumableTraining, LoraPlus, Validation, MicroBatching, trl.SFTTrainer):
    """TRL's SFTTrainer; a call goes through the mixins from left to right, and each says in its docstring what it
    overrides.
    """

    def __init__(self, *args: Any, passes: MicroBatches, **options: Any) -> None:
        self.passes = passes
        super().__init__(*args, **options)

    def train(self, *args: Any, **options: Any) -> Any:
        """With NEFTune's noise by each row's own length, instead of transformers'."""
        self.neftune_noise_alpha = None
        with noise_on_embeddings(self.model, self.args.neftune_noise_alpha):
            return super().train(*args, **options)


def build_sft(
    config: Config,
    model: Any,
    tokenizer: Any,
    train: Rows,
    valid: Rows,
    device: Device,
    folder: Path,
    cache: RunCache | None = None,
) -> SFTTrainer:
    """The trainer over pre-tokenized rows, so that the loss lies exactly on the flagged turns."""
    by_tokens = cuts_by_tokens(is_packed(model), config.trainer.algorithm)
    made = SFTTrainer(
        model=model,
        args=trl.SFTConfig(**common_arguments(config, device, folder, by_tokens), router_aux_loss_coef=0.0),
        train_dataset=as_dataset(train.rows, "train", folder),
        eval_dataset=as_dataset(valid.rows, "validation", folder) if valid.rows else None,
        processing_class=tokenizer,
        passes=MicroBatches(config, by_tokens, sides=1),
    )
    attach_row_ids(made, train.ids)
    return made
