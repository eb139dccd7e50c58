"""Turns as a dialogue that every chat template takes."""

from collections.abc import Sequence

from edu_align.data.readers import NO_UNICODE, is_unicode
from edu_align.data.text import LESSON_OPENING
from edu_align.records import Message

OPENING = f"{LESSON_OPENING}."


def to_dialogue(messages: Sequence[Message], lesson: bool = False) -> tuple[Message, ...] | str:
    """Turns as a dialogue that ends with a reply, or the reason why they are none.

    A system turn may stand first, then user and assistant alternate. Neighbouring user turns are joined by a blank
    line, empty system turns and user turns at the end, which nobody answers, go. In a `lesson` (the user's own files)
    neighbouring turns of the tutor are joined too, and where the tutor speaks first a turn of the student opens.
    """
    turns = _alternating(messages, lesson)
    if isinstance(turns, str):
        return turns
    while turns and turns[-1].role != "assistant":
        turns.pop()
    return tuple(turns) if turns else "no reply"


def to_prompt(messages: Sequence[Message]) -> tuple[Message, ...] | str:
    """Turns of a lesson that end with the user's, none of them trained on; or the reason why they are none."""
    turns = _alternating([Message(message.role, message.content) for message in messages], lesson=True)
    if isinstance(turns, str):
        return turns
    if not any(turn.role == "user" for turn in turns):
        return "no prompt"
    return tuple(turns) if turns[-1].role == "user" else "prompt does not end with a user turn"


def _alternating(messages: Sequence[Message], lesson: bool) -> list[Message] | str:
    turns: list[Message] = []
    for message in messages:
        before = turns[-1] if turns else None
        if message.role == "system" and not message.content:
            continue
        if not message.content:
            return "empty turn"
        if not is_unicode(message.content):
            return NO_UNICODE
        if before and message.role == before.role and (lesson or message.role == "user"):
            if message.train != before.train:
                return "two replies in a row, one of them not trained on"
            turns[-1] = Message(message.role, f"{before.content}\n\n{message.content}", message.train)
            continue
        if message.role == "system" and turns:
            return "a system turn inside the dialogue"
        if message.role == "assistant" and (before is None or before.role != "user"):
            if not lesson:
                twice = before is not None and before.role == "assistant"
                return "two replies in a row" if twice else "does not start with the user"
            turns.append(Message("user", OPENING))
        turns.append(message)
    return turns


def to_trained(messages: Sequence[Message], lesson: bool = False) -> tuple[Message, ...] | str:
    """Like `to_dialogue`; a dialogue without a turn to train on is left out too."""
    dialogue = to_dialogue(messages, lesson)
    if isinstance(dialogue, str) or any(message.train for message in dialogue):
        return dialogue
    return "no turn to train on"
