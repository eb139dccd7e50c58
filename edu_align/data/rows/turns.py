"""Turns in any spelling as messages: roles, text, and the flags that say what is trained on."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from edu_align.data.questions import LESSON_OPENING
from edu_align.data.readers import NO_UNICODE, is_absent, is_unicode
from edu_align.data.rows.columns import decoded, is_part, text_of
from edu_align.data.rows.words import COLUMNS, FLAGS, ROLES, SAID, TOOLS, WHO, RowError, Tally, known, plain
from edu_align.records import Message
from edu_align.utils.words import brief, nearest

_NAMES = "|".join(sorted((name.replace("_", "[- _]") for name in ROLES), key=len, reverse=True))
_LINE = re.compile(rf"^[ \t]*(?P<name>{_NAMES})[ ]*:", re.IGNORECASE | re.MULTILINE)
_HASHES = re.compile(rf"#{{2,4}}[ ]*(?P<name>{_NAMES})[ ]*:", re.IGNORECASE)  # wherever it stands

Mark = re.Match[str]


def split_turns(text: str) -> list[tuple[str, str]] | None:
    """(role, text) of the turns of a text that is a dialogue, with a template's marks or without; else None."""
    return split_marked(text) or _split_transcript(text)


def _split_transcript(text: str) -> list[tuple[str, str]] | None:
    """The turns of a text that names its speakers, or None for any other text.

    It begins with a speaker, and the other side speaks in it, or an empty line stands before the speaker, as in HH
    (Bai et al. 2022). A turn begins where one of these two speakers stands, spelled alike, behind an empty line; where
    the other side never does, behind a line's end; and anywhere in "### Human: ... ### Assistant: ...". A last
    assistant turn without text is an open one, and goes.
    """
    begin = len(text) - len(text.lstrip())
    hashes = text.startswith("##", begin)
    marks = list((_HASHES if hashes else _LINE).finditer(text))
    if not marks or text[: marks[0].start("name")].strip("# \t\r\n"):
        return None
    apart = marks if hashes else [marks[0], *(mark for mark in marks[1:] if _behind_empty_line(text, mark))]
    found = next((some for some in (apart, marks) if len(_speakers(some)) > 1), apart)
    speakers = _speakers(found)
    if len(speakers) < 2 and not hashes and text[:begin].count("\n") < 2:
        return None
    turns = _turns(text, [mark for mark in found if mark["name"] in speakers])
    if turns[-1][0] == "assistant" and not turns[-1][1]:
        turns.pop()
    return turns or None


def _behind_empty_line(text: str, mark: Mark) -> bool:
    at, breaks = mark.start() - 1, 0
    while at >= 0 and text[at].isspace() and breaks < 2:
        breaks += text[at] == "\n"
        at -= 1
    return breaks == 2


def _speakers(marks: Sequence[Mark]) -> list[str]:
    """The first name of each side; a system text counts where it stands first."""
    found: dict[str, str] = {}
    for mark in marks:
        found.setdefault(ROLES[plain(mark["name"])], mark["name"])
    return [name for role, name in found.items() if role != "system" or name == marks[0]["name"]]


def _turns(text: str, marks: Sequence[Mark]) -> list[tuple[str, str]]:
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return [(ROLES[plain(mark["name"])], text[mark.end() : end].strip()) for mark, end in zip(marks, ends, strict=True)]


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
    spoken = list(messages)
    while lesson and spoken and not spoken[-1].content and any(_is_reply(turn) for turn in spoken):
        spoken.pop()  # a turn that was left open
    for message in spoken:
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


def _is_reply(turn: Message) -> bool:
    return turn.role == "assistant" and bool(turn.content)


def to_trained(messages: Sequence[Message], lesson: bool = False) -> tuple[Message, ...] | str:
    """Like `to_dialogue`; a dialogue without a turn to train on is left out too."""
    dialogue = to_dialogue(messages, lesson)
    if isinstance(dialogue, str) or any(message.train for message in dialogue):
        return dialogue
    return "no turn to train on"


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
    return [_message(role, _unmarked(text_of(value, place), tally))]


def _unmarked(text: str, tally: Tally) -> str:
    """A text without the mark of a chat template at its end; marks that stay in it are told."""
    plain_text = without_end(text)
    if plain_text != text:
        tally.said["the mark of a chat template at the end of a text was taken off"] += 1
    if mark := mark_in(plain_text):
        tally.said[f"a text holds {mark}, a chat template's mark, and is read as it stands"] += 1
    return plain_text


def _message(role: str, text: str, trained: bool = True) -> Message:
    return Message(role, text.replace("\r\n", "\n").strip(), train=trained and role == "assistant")


def _transcript(text: str, role: str | None) -> list[Message]:
    """The turns of a transcript; none where it is a prompt that would end with the tutor's own words."""
    turns = split_turns(text) or []
    if role == "user" and turns and turns[-1][0] != "user":
        return []
    return [_message(speaker, said) for speaker, said in turns]


def read_turn(item: Any, place: str, tally: Tally) -> list[Message]:
    """The message of a turn; {"user": "2 + 3?", "assistant": "..."} and {"question", "answer"} are two.

    Raises RowError.
    """
    if not isinstance(item, dict):
        raise RowError("a turn that is no object", place, f"got {brief(item)}")
    data = {str(key): value for key, value in item.items() if not is_absent(value)}
    said, who = known(data, SAID), known(data, WHO)
    if said is None and data and all(plain(key) in ROLES for key in data):
        return [_message(ROLES[plain(key)], text_of(value, place)) for key, value in data.items()]
    pair = [known(data, COLUMNS[ours]) for ours in ("prompt", "completion")]
    if who is None and said is None and all(pair):
        asked, reply = (text_of(data[str(key)], place) for key in pair)
        return [_message("user", asked), _message("assistant", reply)]
    if who is None:
        keys = f"its keys: {brief(', '.join(data))}; call the one that says who speaks `role`, the text `content`"
        raise RowError("a turn without a role", place, keys)
    role = read_role(data[who], place)
    if role == "system" and (said is None or data[said] in ([], {})):
        return []
    if said is None:
        calls = any("call" in plain(key) for key in data)
        raise RowError("a turn without text, with calls of tools" if calls else "a turn without text", place)
    text = _unmarked(text_of(data[said], place), tally)
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


# Texts that a chat template wrote already: its marks are taken off, and the turns between them are read. Data sets for
# one model often hold them: `<|im_start|>user ...<|im_end|>` (ChatML), `<|user|> ...</s>` (Zephyr, Phi),
# `<start_of_turn>user ...<end_of_turn>` (Gemma), `<|start_header_id|>user<|end_header_id|> ...<|eot_id|>` (Llama 3) and
# `[INST] ... [/INST] ...` (Llama 2, Mistral). Trained as they stand they would teach one template inside another.
_BEGINS = ("<s>", "<bos>", "<|begin_of_text|>", "<|endoftext|>")
_ENDS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "</s>", "<|end|>", "<|endoftext|>", "<|end_of_text|>", "<eos>")
_OPENS = re.compile(
    r"<\|im_start\|>[ ]*(?P<chatml>\w+)[ ]*\n|<start_of_turn>[ ]*(?P<gemma>\w+)[ ]*\n|"
    r"<\|start_header_id\|>[ ]*(?P<llama3>\w+)[ ]*<\|end_header_id\|>|<\|(?P<zephyr>system|user|assistant)\|>"
)
_MARK = re.compile(
    r"<\|(im_start|im_end|start_header_id|end_header_id|eot_id|system|user|assistant|end)\|>|<(start|end)_of_turn>|"
    r"\[/?INST\]|<</?SYS>>|</s>"
)

Spoken = list[tuple[str, str]]


def split_marked(text: str) -> Spoken | None:
    """(role, text) of a text that is turns between the marks of one template; None for any other text.

    An assistant turn without text at the end is an open one, and goes.
    """
    body = text.lstrip()
    body = next((body.removeprefix(mark) for mark in _BEGINS if body.startswith(mark)), body).lstrip()
    turns = _instructions(body) if body.startswith("[INST]") else _between_marks(body)
    if turns and turns[-1] == ("assistant", ""):
        turns.pop()
    return turns or None


def without_end(text: str) -> str:
    """A reply without the mark at its end that a template closes a turn with."""
    cut = text.rstrip()
    if not cut.endswith(_ENDS):
        return text
    while cut.endswith(_ENDS):
        cut = next(cut.removesuffix(mark) for mark in _ENDS if cut.endswith(mark)).rstrip()
    return cut


def mark_in(text: str) -> str | None:
    """The first mark of a chat template in a text."""
    found = _MARK.search(text)
    return found[0] if found else None


def _between_marks(text: str) -> Spoken | None:
    opens = list(_OPENS.finditer(text))
    if not opens or opens[0].start() or len({mark.lastgroup for mark in opens}) > 1:
        return None
    roles = [ROLES.get(plain(mark[str(mark.lastgroup)])) for mark in opens]
    if None in roles:
        return None
    ends = [mark.start() for mark in opens[1:]] + [len(text)]
    texts = [without_end(text[mark.end() : end]).strip() for mark, end in zip(opens, ends, strict=True)]
    return list(zip(map(str, roles), texts, strict=True))


def _instructions(text: str) -> Spoken | None:
    turns: Spoken = []
    for part in text.split("[INST]")[1:]:
        asked, closed, said = part.partition("[/INST]")
        if not closed:
            return None
        if asked.lstrip().startswith("<<SYS>>"):
            system, _, asked = asked.lstrip().removeprefix("<<SYS>>").partition("<</SYS>>")
            turns.append(("system", system.strip()))
        said = without_end(said.strip().removesuffix("<s>")).strip()
        turns += [("user", asked.strip()), ("assistant", said)]
    return turns
