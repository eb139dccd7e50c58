"""Dialogues of the public chat sets: turns in any spelling, checked, as a conversation."""

from edu_align.data.questions import question_key
from edu_align.data.readers import Row
from edu_align.data.rows.turns import read_turn, to_trained
from edu_align.data.rows.words import RowError, Tally
from edu_align.records import Conversation, Message
from edu_align.utils.errors import UserError


def read_turns(row: Row, column: str, trained: bool = True) -> list[Message]:
    """The turns of a column as they stand, outer spaces apart; `trained` marks every assistant turn.

        [{"from": "human", "value": "2 + 3?"}, {"from": "gpt", "value": "What ..."}]               (ShareGPT)
        [{"role": "user", "content": "2 + 3?"}, {"role": "assistant", "content": "What ..."}]      (messages)
        -> [Message("user", "2 + 3?"), Message("assistant", "What ...", train=True)]

    Inner spaces and line breaks stay: they are code in many of these sets. Raises UserError for a missing column, a
    value of another type or an unknown role.
    """
    try:
        turns = [turn for part in row.nested(column) for turn in read_turn(part.data, part.file, Tally())]
    except RowError as error:
        raise UserError(f"{error} Mend the row: {row.shown()}") from None
    return turns if trained else [Message(turn.role, turn.content) for turn in turns]


def to_conversation(row: Row, record_id: str, column: str, source: str) -> Conversation | str:
    """The turns of a column with every assistant turn trained on, or the reason why the row cannot be used.

    Conversations that open with the same question are one group. Raises UserError as `read_turns` does.
    """
    messages = to_trained(read_turns(row, column))
    if isinstance(messages, str):
        return messages
    return Conversation(messages, record_id, source, question_key(messages))
