"""Supervised fine-tuning: the negative log-likelihood of the flagged assistant turns, through TRL's SFTTrainer."""

from pathlib import Path
from typing import Any

from edu_align.config.schema import Config
from edu_align.data.records import Conversation
from edu_align.errors import UserError
from edu_align.models.device import Device
from edu_align.models.tokenizer import IGNORED, encode
from edu_align.trainers.arguments import common_arguments


def sft_rows(tokenizer: Any, conversations: list[Conversation], max_length: int) -> tuple[list[dict[str, Any]], int]:
    """Rows {input_ids, labels} of at most `max_length` tokens, and how many had no trained token and were dropped."""
    rows, dropped = [], 0
    for conversation in conversations:
        ids, labels = encode(tokenizer, conversation.messages, max_length)
        if any(label != IGNORED for label in labels[1:]):
            rows.append({"input_ids": ids, "labels": labels})
        else:
            dropped += 1
    return rows, dropped


def build_sft(
    config: Config,
    model: Any,
    tokenizer: Any,
    train: list[Conversation],
    valid: list[Conversation],
    device: Device,
    folder: Path,
) -> Any:
    """TRL's SFTTrainer over pre-tokenized rows, so that the loss lies exactly on the flagged turns.

    Errors: no conversation keeps a trained token within `trainer.max_length`.
    """
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows, dropped = sft_rows(tokenizer, train, config.trainer.max_length)
    if not rows:
        raise UserError(
            f"none of the {len(train)} training conversations has a trained token within `trainer.max_length="
            f"{config.trainer.max_length}`. Raise trainer.max_length."
        )
    if dropped:
        print(f"edu_align: {dropped} of {len(train)} conversations have no trained token within max_length; left out")
    valid_rows, _ = sft_rows(tokenizer, valid, config.trainer.max_length)
    return SFTTrainer(
        model=model,
        args=SFTConfig(**common_arguments(config, device, folder)),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(valid_rows) if valid_rows else None,
        processing_class=tokenizer,
    )
