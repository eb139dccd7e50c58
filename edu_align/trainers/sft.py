"""Supervised fine-tuning: the negative log-likelihood of the flagged assistant turns, through TRL's SFTTrainer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trl import SFTConfig, SFTTrainer

from edu_align.caching.rows import remembered_rows
from edu_align.caching.shared import Shared
from edu_align.config.schema import Config, SFTTrainerConfig
from edu_align.data.records import Conversation, Message
from edu_align.errors import UserError
from edu_align.models.device import Device
from edu_align.models.tokenizer import IGNORED, encode
from edu_align.packing.decoder import is_packed
from edu_align.trainers.arguments import common_arguments, cuts_by_tokens
from edu_align.trainers.divergence import watched
from edu_align.trainers.fits import Fits
from edu_align.trainers.fitting import fitting
from edu_align.trainers.numbered import number
from edu_align.trainers.resume import resumable
from edu_align.trainers.rows import as_dataset
from edu_align.trainers.windows import cut

Row = dict[str, Any]


@dataclass
class Counts:
    """What became of the conversations: `long` were over max_length, `lost_turns` trained turns fit no window.

    `rows`: how many rows each of them became, in their order.
    """

    conversations: int = 0
    long: int = 0
    windows: int = 0
    lost_turns: int = 0
    dropped: int = 0
    rows: list[int] = field(default_factory=list)

    def describe(self, mode: str, max_length: int) -> str:
        """One line, "" where every conversation was used whole."""
        if not self.long and not self.dropped:
            return ""
        done = {
            "window": f"cut between turns into {self.windows} windows",
            "truncate": "cut at their end",
            "drop": "left out",
        }
        parts = [f"{self.long} of {self.conversations} conversations are longer than trainer.max_length={max_length}"]
        parts += [f"{done[mode]} (trainer.long_conversations={mode})"] if self.long else []
        if self.lost_turns:
            parts.append(f"{self.lost_turns} trained turns are too long for a window of their own and left out")
        if self.dropped:
            parts.append(f"{self.dropped} conversations have no trained token left and are left out")
        return "edu_align: " + "; ".join(parts)


def sft_rows(
    tokenizer: Any, conversations: Sequence[Conversation], max_length: int, mode: str = "truncate"
) -> tuple[list[Row], Counts]:
    """Rows {input_ids, labels} of at most `max_length` tokens, and what became of the conversations.

    `mode` is what is done with a longer conversation: window (several rows, see `windows.cut`), truncate (its end is
    lost) or drop. Rows without a trained token are left out.
    """
    rows: list[Row] = []
    counts = Counts(conversations=len(conversations))
    for conversation in conversations:
        ids, labels = encode(tokenizer, conversation.messages)
        pieces = [{"input_ids": ids, "labels": labels}]
        if len(ids) > max_length:
            counts.long += 1
            if mode == "drop":
                counts.rows.append(0)
                continue
            if mode == "window":
                pieces, lost = _windows(tokenizer, conversation.messages, max_length)
                counts.lost_turns += lost
                counts.windows += len(pieces)
            else:
                pieces = [{"input_ids": ids[:max_length], "labels": labels[:max_length]}]
        kept = [row for row in pieces if any(label != IGNORED for label in row["labels"][1:])]
        rows += kept
        counts.dropped += not kept
        counts.rows.append(len(kept))
    return rows, counts


def _windows(tokenizer: Any, messages: Sequence[Message], max_length: int) -> tuple[list[Row], int]:
    def length(turns: Sequence[Message]) -> int:
        return len(encode(tokenizer, turns)[0])

    found = cut(messages, max_length, length)
    encoded = (encode(tokenizer, window) for window in found.windows)
    return [{"input_ids": ids, "labels": labels} for ids, labels in encoded], found.lost_turns


def build_sft(
    config: Config,
    model: Any,
    tokenizer: Any,
    train: list[Conversation],
    valid: list[Conversation],
    device: Device,
    folder: Path,
    shared: Shared | None = None,
) -> Any:
    """TRL's SFTTrainer over pre-tokenized rows, so that the loss lies exactly on the flagged turns.

    Errors: no conversation keeps a trained token within `trainer.max_length`.
    """
    assert isinstance(config.trainer, SFTTrainerConfig)
    mode, max_length = config.trainer.long_conversations, config.trainer.max_length
    rows, counts = remembered_rows(shared, tokenizer, train, max_length, mode, sft_rows)
    if not rows:
        raise UserError(
            f"none of the {len(train)} training conversations has a trained token within `trainer.max_length="
            f"{max_length}` (trainer.long_conversations={mode}). Raise trainer.max_length."
        )
    if line := counts.describe(mode, max_length):
        print(line, flush=True)
    valid_rows, _ = remembered_rows(shared, tokenizer, valid, max_length, mode, sft_rows)
    by_tokens = cuts_by_tokens(is_packed(model))
    trainer_class = watched(resumable(fitting(SFTTrainer, Fits(config, by_tokens, sides=1))))
    made = trainer_class(
        model=model,
        args=SFTConfig(**common_arguments(config, device, folder, by_tokens)),
        train_dataset=as_dataset(rows, "train", folder),
        eval_dataset=as_dataset(valid_rows, "validation", folder) if valid_rows else None,
        processing_class=tokenizer,
    )
    number(made, [talk.id for talk, many in zip(train, counts.rows, strict=True) for _ in range(many)])
    return made
