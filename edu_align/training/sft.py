"""Supervised fine-tuning: the negative log-likelihood of the flagged assistant turns, through TRL's SFTTrainer."""

from pathlib import Path
from typing import Any

import trl

from edu_align.cache.run_cache import RunCache
from edu_align.config.batch import cuts_by_tokens
from edu_align.config.schema import Config, SFTTrainerConfig
from edu_align.models.device import Device
from edu_align.packing.decoder import is_packed
from edu_align.records import Conversation
from edu_align.training.arguments import common_arguments
from edu_align.training.divergence import StopOnDivergence
from edu_align.training.micro_batches import MicroBatches, MicroBatching
from edu_align.training.resume import ResumableTraining
from edu_align.training.sft_rows import cached_sft_rows
from edu_align.training.trl_dataset import as_dataset, attach_row_ids
from edu_align.training.validation import Validation
from edu_align.utils.errors import UserError


class SFTTrainer(StopOnDivergence, ResumableTraining, Validation, MicroBatching, trl.SFTTrainer):
    """TRL's SFTTrainer; a call goes through the mixins from left to right, and each says in its docstring what it
    overrides.
    """

    def __init__(self, *args: Any, passes: MicroBatches, **options: Any) -> None:
        self.passes = passes
        super().__init__(*args, **options)


def build_sft(
    config: Config,
    model: Any,
    tokenizer: Any,
    train: list[Conversation],
    valid: list[Conversation],
    device: Device,
    folder: Path,
    cache: RunCache | None = None,
) -> SFTTrainer:
    """The trainer over pre-tokenized rows, so that the loss lies exactly on the flagged turns.

    Errors: no conversation keeps a trained token within `trainer.max_length`.
    """
    assert isinstance(config.trainer, SFTTrainerConfig)
    mode, max_length = config.trainer.long_conversations, config.trainer.max_length
    rows, counts = cached_sft_rows(cache, tokenizer, train, max_length, mode)
    if not rows:
        raise UserError(
            f"none of the {len(train)} training conversations has a trained token within `trainer.max_length="
            f"{max_length}` (trainer.long_conversations={mode}). Raise trainer.max_length."
        )
    if line := counts.describe(mode, max_length):
        print(line, flush=True)
    valid_rows, _ = cached_sft_rows(cache, tokenizer, valid, max_length, mode)
    by_tokens = cuts_by_tokens(is_packed(model))
    made = SFTTrainer(
        model=model,
        args=trl.SFTConfig(**common_arguments(config, device, folder, by_tokens)),
        train_dataset=as_dataset(rows, "train", folder),
        eval_dataset=as_dataset(valid_rows, "validation", folder) if valid_rows else None,
        processing_class=tokenizer,
        passes=MicroBatches(config, by_tokens, sides=1),
    )
    attach_row_ids(made, [talk.id for talk, many in zip(train, counts.rows, strict=True) for _ in range(many)])
    return made
