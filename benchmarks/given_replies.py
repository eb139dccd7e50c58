"""Replies that are given and not written, for GRPO's training pass: on both sides the same ones to the same dialogues.

Those are what people said in the data, here and elsewhere, in turn: their lengths are real, and a pass computes the
same whatever they say.
"""

from collections.abc import Sequence
from itertools import cycle, islice
from types import MethodType
from typing import Any

from edu_align.training.grpo_rows import asked_of


def give_replies(trainer: Any, tokenizer: Any, conversations: Sequence[Any], longest: int) -> None:
    """Let `trainer`, a GRPOTrainer of ours or TRL's, take the next replies wherever it would write some.

    `longest`: the most tokens of a reply, its end among them.
    """
    people = [tokenizer.encode(asked.person, add_special_tokens=False) for asked in asked_of(conversations)]
    replies = cycle([[*ids[: longest - 1], tokenizer.eos_token_id] for ids in people])

    def written(self: Any, prompts: Sequence[Any], *_: Any, **__: Any) -> tuple[list[list[int]], None]:
        return list(islice(replies, len(prompts))), None

    trainer._generate_single_turn = MethodType(written, trainer)
