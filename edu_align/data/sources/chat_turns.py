"""Dialogues of the public chat sets: turns in either spelling, checked, as messages."""

from collections.abc import Sequence

from edu_align.data.readers import Row, brief
from edu_align.data.text import question_key
from edu_align.records import Conversation, Message
from edu_align.utils.errors import UserError

ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


def read_turns(row: Row, column: str, trained: bool = True) -> list[Message]:
    """The turns of a column as they stand, outer spaces apart; `trained` marks every assistant turn.

        [{"from": "human", "value": "2 + 3?"}, {"from": "gpt", "value": "What ..."}]               (ShareGPT)
        [{"role": "user", "content": "2 + 3?"}, {"role": "assistant", "content": "What ..."}]      (messages)
        -> [Message("user", "2 + 3?"), Message("assistant", "What ...", train=True)]

    Inner spaces and line breaks stay: they are code in many of these sets. Raises UserError, with the row, for a
    missing column, a value of another type or an unknown role.
    """
    messages = []
    for part in row.nested(column):
        who, said = ("from", "value") if "from" in part.data else ("role", "content")
        name, text = part.get(who, str), part.get(said, str)
        if name not in ROLES:
            raise UserError(
                f"{part.place}: `{who}` must be one of {', '.join(ROLES)}, got {brief(name)}. "
                f"Mend the row: {row.shown()}"
            )
        role = ROLES[name]
        messages.append(Message(role, text.strip(), train=trained and role == "assistant"))
    return messages


def to_dialogue(messages: Sequence[Message]) -> tuple[Message, ...] | str:
    """Turns as a dialogue that every chat template takes, or the reason why they are none.

    A system turn may stand first, then user and assistant alternate. Neighbouring user turns are joined by a blank
    line, empty system turns and user turns at the end, which nobody answers, go.
    """
    turns: list[Message] = []
    for message in messages:
        before = turns[-1].role if turns else ""
        if message.role == "system" and not message.content:
            continue
        if not message.content:
            return "empty turn"
        if message.role == "system" and turns:
            return "a system turn inside the dialogue"
        if message.role == "assistant" and before != "user":
            return "two replies in a row" if before == "assistant" else "does not start with the user"
        if message.role == before == "user":
            turns[-1] = Message("user", f"{turns[-1].content}\n\n{message.content}")
        else:
            turns.append(message)
    while turns and turns[-1].role != "assistant":
        turns.pop()
    return tuple(turns) if turns else "no reply"


def to_trained(messages: Sequence[Message]) -> tuple[Message, ...] | str:
    """Like `to_dialogue`; a dialogue without a turn to train on is left out too."""
    dialogue = to_dialogue(messages)
    if isinstance(dialogue, str) or any(message.train for message in dialogue):
        return dialogue
    return "no turn to train on"


def to_conversation(row: Row, record_id: str, column: str, source: str) -> Conversation | str:
    """The turns of a column with every assistant turn trained on, or the reason why the row cannot be used.

    Conversations that open with the same question are one group. Raises UserError as `read_turns` does.
    """
    messages = to_trained(read_turns(row, column))
    if isinstance(messages, str):
        return messages
    return Conversation(messages, record_id, source, question_key(messages))


def first_user(messages: Sequence[Message]) -> str:
    """The text of the first user turn; "" where there is none."""
    return next((message.content for message in messages if message.role == "user"), "")
