"""A dialogue that fits the model: the oldest turns are left out first."""

from collections.abc import Sequence
from typing import Any

from edu_align.data.records import Message
from edu_align.errors import UserError
from edu_align.models.tokenizer import chat_ids


class TooLong(UserError):
    """The last message alone does not fit."""


def fit(tokenizer: Any, turns: Sequence[Message], room: int) -> tuple[tuple[Message, ...], int]:
    """The turns that fit `room` tokens with the assistant's next turn opened, and how many were left out.

    The oldest question and its answer go first; a system turn and the last message stay. Raises TooLong where those
    two are too long already.
    """
    head = tuple(turns[:1]) if turns[0].role == "system" else ()
    rest = tuple(turns[len(head) :])
    dropped = 0
    while True:
        length = len(chat_ids(tokenizer, (*head, *rest), reply_next=True))
        if length <= room:
            return (*head, *rest), dropped
        if len(rest) < 3:
            raise TooLong(
                f"the message has {length} tokens with what the template adds, and the model's context leaves {room} "
                "beside the reply. Shorten it, or lower generation.max_new_tokens."
            )
        rest, dropped = rest[2:], dropped + 2
