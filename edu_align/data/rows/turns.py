"""Turns in any spelling as messages: roles, text, and the flags that say what is trained on."""

from collections.abc import Mapping
from typing import Any

from edu_align.data.readers import is_absent
from edu_align.data.rows.cells import decoded, is_part, text_of
from edu_align.data.rows.left_out import RowError
from edu_align.data.rows.tally import Tally
from edu_align.data.rows.transcripts import split_transcript
from edu_align.data.rows.words import COLUMNS, FLAGS, ROLES, SAID, TOOLS, WHO, known, plain
from edu_align.records import Message
from edu_align.utils.suggest import nearest
from edu_align.utils.words import brief

_OFF, _ON = (False, "false", "no", "0", "0.0"), (True, "true", "yes", "1", "1.0")


def as_turns(value: Any, place: str, tally: Tally, role: str | None) -> list[Message]:
    """A cell as messages, every assistant turn trained on unless its flag says no.

        "2 + 3?"                                  one turn of `role`; None where the column holds lists only
        "\\n\\nHuman: 2 + 3?\\n\\nAssistant: ..."     the turns of the transcript
        {"role": "user", "content": "2 + 3?"}     a turn, or a list of turns, or {"messages": [...]}; as JSON text too
        [{"type": "text", "text": "2 + 3?"}]      parts of one turn of `role`

    Raises RowError for everything else.
    """
    value = decoded("" if value is None else value, place, as_list=role is None)
    if isinstance(value, str) and (turns := _transcript(value, role)):
        tally.said["a text that holds a dialogue was split into its turns"] += 1
        return turns
    if isinstance(value, dict) and (inner := known(value, COLUMNS["messages"])) is not None:
        return as_turns(value[inner], place, tally, None)
    if isinstance(value, dict) and known(value, WHO) is not None:
        return read_turn(value, place, tally)
    if isinstance(value, list) and not (role and value and all(is_part(item) for item in value)):
        there = ((i, item) for i, item in enumerate(value) if not is_absent(item))
        return [turn for i, item in there for turn in read_turn(item, f"{place}[{i}]", tally)]
    if role is None and value == "":
        raise RowError("no turns", place)
    if role is None:
        raise RowError("no list of turns", place, f"got {brief(value)}")
    return [_message(role, text_of(value, place))]


def _message(role: str, text: str, trained: bool = True) -> Message:
    return Message(role, text.replace("\r\n", "\n").strip(), train=trained and role == "assistant")


def _transcript(text: str, role: str | None) -> list[Message]:
    """The turns of a transcript; none where it is a prompt that would end with the tutor's own words."""
    turns = split_transcript(text) or []
    if role == "user" and turns and turns[-1][0] != "user":
        return []
    return [_message(speaker, said) for speaker, said in turns]


def read_turn(item: Any, place: str, tally: Tally) -> list[Message]:
    """The message of a turn; {"user": "2 + 3?", "assistant": "..."} is two. Raises RowError."""
    if not isinstance(item, dict):
        raise RowError("a turn that is no object", place, f"got {brief(item)}")
    data = {str(key): value for key, value in item.items() if not is_absent(value)}
    said, who = known(data, SAID), known(data, WHO)
    if said is None and data and all(plain(key) in ROLES for key in data):
        return [_message(ROLES[plain(key)], text_of(value, place)) for key, value in data.items()]
    if who is None:
        raise RowError("a turn without a role", place, f"its keys: {brief(', '.join(data))}")
    role = read_role(data[who], place)
    if role == "system" and (said is None or data[said] in ([], {})):
        return []
    if said is None:
        calls = any("call" in plain(key) for key in data)
        raise RowError("a turn without text, with calls of tools" if calls else "a turn without text", place)
    text = text_of(data[said], place)
    trained = _trained(data, role, tally)
    read = {who, said, *(key for key in data if plain(key) in FLAGS)}
    tally.keys.update(key for key in data if key not in read)
    return [_message(role, text, trained)]


def read_role(name: Any, place: str) -> str:
    """The role that a name stands for. Raises RowError for one that is not known."""
    word = plain(name) if isinstance(name, str) else None
    if word in ROLES:
        return ROLES[word]
    if word in TOOLS:
        raise RowError("a turn of a tool", place, f"role {brief(name)}")
    near = nearest(word, ROLES) if word else None
    hint = f", did you mean {near!r}?" if near else ""
    raise RowError("a role that is not known", place, f"got {brief(name)}{hint}")


def _trained(data: Mapping[str, Any], role: str, tally: Tally) -> bool:
    """Whether the turn's flags leave it trained: one that is off is enough."""
    trained = True
    for key in data:
        if plain(key) not in FLAGS:
            continue
        value = data[key].strip().lower() if isinstance(data[key], str) else data[key]
        if value in _OFF:
            trained = False
        elif value not in _ON:
            tally.said[f"`{plain(key)}` of a turn is {brief(data[key])}, which is neither on nor off; taken as on"] += 1
        elif role != "assistant" and value is True:
            tally.said[f"`{plain(key)}` is true on a turn that is not the tutor's, and never trained on"] += 1
    return trained
