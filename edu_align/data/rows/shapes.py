"""The shapes of rows: which one a row has, and the record that it becomes.

    messages     {"messages": [{"role": "user", "content": "2 + 3?"}, {"role": "assistant", "content": "What ..."}]}
                 or `conversations` of {"from": "human", "value": "2 + 3?"}, or any other spelling of turns
    text         {"text": "\\n\\nHuman: 2 + 3?\\n\\nAssistant: What ..."}
    completion   {"prompt": text or messages, "completion": likewise}; question + answer; instruction (+ input) + output
                 -> Conversation
    preference   {"prompt": text or messages, "chosen": text, message or messages, "rejected": likewise}; the prompt may
                 also be `conversations`, or stand at the start of both replies
                 -> ResponseGroup of the scores 1 and 0
    responses    {"prompt": ..., "responses": [{"text" or "response": ..., "score": 3}, ...]}, or texts in `responses`
                 and numbers in `scores`  -> ResponseGroup
    labels       {"prompt": ..., "reply": ..., "label": true}, or "score": 4 in its place, or `messages` that end with
                 the reply; or a vote of the chat
                 -> ResponseGroup, of one reply as a rule (`labels.py`)

`system` gives any of them its system turn, `history` ([[question, answer], ...], flat or not) what was said before the
prompt. A text with a chat template's marks, or with named speakers, is read as its turns (`turns.split_turns`).
"""

import json
from collections.abc import Sequence
from typing import Any

from edu_align.data.questions import question_key
from edu_align.data.readers import finite, is_absent
from edu_align.data.rows.columns import Cells, decoded, is_blank, is_part, number_in, spells_turns, text_of
from edu_align.data.rows.labels import LABEL, has_label, is_vote, label_of, voted
from edu_align.data.rows.turns import as_turns, split_turns, to_prompt, to_trained
from edu_align.data.rows.words import SAID, RowError, Tally, known
from edu_align.records import Conversation, Message, Record, Response, ResponseGroup
from edu_align.utils.words import brief, shorten

# What each shape needs, in the order in which shapes are tried for conversations.
SHAPES = {
    "messages": ("messages",),
    "preference": ("chosen", "rejected"),
    "responses": ("responses",),
    "completion": ("prompt", "completion"),
    "text": ("text",),
}
SCORED = ("preference", "responses")
NO_SHAPE = "no known shape"
NO_DIALOGUE = "`text` holds no dialogue (Human: ... Assistant: ...)"
NO_REPLIES = "a conversation without scored replies"
NO_LABEL = "a conversation without a label or a score"
_SCORE = ("score", "rating", "overall_score", "reward")
_REPLY = (*SAID, "response", "reply", "answer", "completion", "output")
_AUTHOR = ("author", "model")
_VALIDATION = ("validation", "valid", "val", "dev", "eval")

Turns = list[Message]


def shape_of(cells: Cells, view: str) -> str:
    """The shape of a row, in favour of the view's (conversation | preference). Raises RowError where none fits."""
    if view == "labels" and (is_vote(cells) or has_label(cells)):
        return "labels"
    order = list(SHAPES) if view == "conversation" else sorted(SHAPES, key=lambda name: name not in SCORED)
    full = [name for name in order if all(cells.has(ours) for ours in SHAPES[name])]
    there = full or [name for name in order if all(cells.name(ours) for ours in SHAPES[name])]
    if "messages" in there and not cells.has("prompt") and any(name in there for name in SCORED):
        there.remove("messages")  # they are the prompt of the replies
    if there and there[0] == "text" and not _is_transcript(cells):
        raise RowError(NO_DIALOGUE, cells.place)
    if not there:
        columns = shorten(", ".join(map(str, cells.row.columns))) or "none"
        raise RowError(NO_SHAPE, cells.place, f"columns {columns}")
    return there[0]


def _is_transcript(cells: Cells) -> bool:
    value = cells.peek("text")
    return not isinstance(value, str) or bool(split_turns(value))


def to_record(cells: Cells, shape: str, view: str, tally: Tally) -> Record:
    """The record of a row of this shape. Raises RowError where it gives none."""
    for ours in SHAPES.get(shape, ()):
        if cells.name(ours) is None:
            raise RowError(f"no column `{ours}`", cells.place)
    if view != "conversation" and shape not in (*SCORED, *(["labels"] if view == "labels" else [])):
        raise RowError(NO_REPLIES if view == "preference" else NO_LABEL, cells.place)
    record_id = f"local:{explicit(cells, 'id') or cells.row.number}"
    group = explicit(cells, "group")
    meta = {name: value for name in ("split", "gold_answer") if (value := explicit(cells, name))}
    if "split" in meta:
        meta["split"] = _side(meta["split"], cells)
    if shape in (*SCORED, "labels"):
        prompt, replies = scored(cells, shape, tally)
        key = f"local:{group}" if group else question_key(prompt)
        if shape == "labels" and view == "conversation":
            turn = Message("assistant", _good_reply(replies, cells), train=True)
            return Conversation((*prompt, turn), record_id, "local", key, meta)
        return ResponseGroup(prompt, replies, record_id, "local", key, meta)
    messages = _checked(to_trained(_with_system(cells, _talk(cells, shape, tally), tally), lesson=True), cells)
    key = f"local:{group}" if group else question_key(messages)
    return Conversation(messages, record_id, "local", key, meta)


def prompt_and_reply(cells: Cells, tally: Tally) -> tuple[tuple[Message, ...], str | None]:
    """What a row asks, and the reply that stands behind it, if one does; the best one of several. Raises RowError.

    A column of turns comes first here, then a prompt, whatever stands beside it.
    """
    shape = next((name for name, needs in SHAPES.items() if all(cells.has(ours) for ours in needs)), None)
    if shape in SCORED:
        prompt, replies = scored(cells, shape, tally)
        return prompt, max(replies, key=lambda reply: reply.score).text
    if shape in ("messages", "completion") or (shape == "text" and _is_transcript(cells) and not cells.has("prompt")):
        turns = _talk(cells, shape, tally)
    elif cells.has("prompt") or cells.has("history"):
        turns = prompt_turns(cells, tally)
    elif cells.has("text"):
        turns = as_turns(*cells.get("text"), tally, "user")
    else:
        raise RowError("no prompt", cells.place, f"columns {shorten(', '.join(map(str, cells.row.columns))) or 'none'}")
    turns = _with_system(cells, _plain(turns), tally)
    end = _reply_at(turns)
    reference = _text(turns[end:]) if any(turn.role == "user" for turn in turns[:end]) else None
    return _checked(to_prompt(turns[:end] if reference is not None else turns), cells), reference or None


def explicit(cells: Cells, column: str) -> str:
    """A mapped id, group or split, or the gold answer, as text; "" where the cell is empty."""
    value, _ = cells.get(column)
    if is_blank(value):
        return ""
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _side(name: str, cells: Cells) -> str:
    """The side of the split that a name stands for. Raises RowError."""
    sides = {"train": "train", "training": "train", "test": "test"} | dict.fromkeys(_VALIDATION, "validation")
    if name.casefold() not in sides:
        raise RowError("a split that is none of train, validation, test", cells.place, f"got {brief(name)}")
    return sides[name.casefold()]


def _checked(turns: tuple[Message, ...] | str, cells: Cells) -> tuple[Message, ...]:
    if isinstance(turns, str):
        raise RowError(turns, cells.place)
    return turns


def _talk(cells: Cells, shape: str, tally: Tally) -> Turns:
    if shape != "completion":
        value, place = cells.get(shape)
        return as_turns(value, place, tally, None)
    _refuse_bad_label(cells)
    before = prompt_turns(cells, tally, history_trained=True)
    said = as_turns(*cells.get("completion"), tally, "assistant")
    if not said or not said[-1].content:
        raise RowError("empty reply", cells.place)
    end = _reply_at(said)
    return [*_context(before, said[:end], tally), *said[end:]]


def _refuse_bad_label(cells: Cells) -> None:
    """`label` false marks a completion that should not be learnt (the shape of KTO)."""
    value = cells.peek("label")
    word = value.strip().lower() if isinstance(value, str) else value
    if word in ("true", "false") or isinstance(word, bool):
        cells.get("label")
        if word in ("false", False):
            raise RowError("`label` is false: a completion that is marked as bad", cells.place)


def prompt_turns(cells: Cells, tally: Tally, history_trained: bool = False) -> Turns:
    """What stands before the replies: history, prompt and its input, or a column of turns."""
    turns = _history(cells, tally, history_trained)
    name = cells.name("prompt")
    if cells.has("prompt") or (name and not cells.has("messages")):
        value, place = cells.get("prompt")
        if name == "instruction" or (name != "input" and "input" in cells.mapped):
            value = _with_input(cells, value, place)
        return turns + _plain(as_turns(value, place, tally, "user"))
    if cells.name("messages"):
        turns += _plain(as_turns(*cells.get("messages"), tally, None))
    return turns


def _with_input(cells: Cells, value: Any, place: str) -> Any:
    more, where = cells.get("input")
    return value if is_blank(more) else f"{text_of(value, place).strip()}\n\n{text_of(more, where).strip()}"


def _history(cells: Cells, tally: Tally, trained: bool) -> Turns:
    if not cells.has("history"):
        return []
    value, place = cells.get("history")
    value = decoded(value, place, as_list=True)
    turns: Turns = []
    items = value if isinstance(value, list) else [value]
    if len(items) > 1 and len(items) % 2 == 0 and all(isinstance(item, str) for item in items):
        items = [list(pair) for pair in zip(items[::2], items[1::2], strict=True)]  # asked and said in turn
    for i, item in enumerate(items):
        if isinstance(item, list) and len(item) == 2:
            asked, said = (text_of(part, f"{place}[{i}]").strip() for part in item)
            turns += [Message("user", asked), Message("assistant", said, train=True)]
        elif item not in ([], None):
            turns += as_turns([item], place, tally, None)
    return turns if trained else _plain(turns)


def _plain(turns: Sequence[Message]) -> Turns:
    return [Message(turn.role, turn.content) for turn in turns]


def _reply_at(turns: Turns) -> int:
    """Where the last turns of the tutor begin."""
    end = len(turns)
    while end and turns[end - 1].role == "assistant":
        end -= 1
    return end


def _context(prompt: Turns, said: Turns, tally: Tally) -> Turns:
    """The turns before a reply: those of the prompt, and those that stood before the reply in its own column.

    The latter often repeat the former, without the system turn, or from their last question on; or they go on.
    """
    spoken = [[turn for turn in turns if turn.role != "system"] for turns in (prompt, said)]
    system = [turn for turn in said if turn.role == "system"] or [turn for turn in prompt if turn.role == "system"]
    one, other = ([(turn.role, turn.content) for turn in turns] for turns in spoken)
    if not other or one[-len(other) :] == other:
        return system + spoken[0]
    if other[: len(one)] == one:
        return system + spoken[1]
    if one[-1][0] != other[0][0]:
        return system + spoken[0] + spoken[1]
    if not any(one[-1][1] in text for _, text in other):
        tally.said["the prompt is no part of the dialogue in the reply's column; the dialogue was taken"] += 1
    return system + spoken[1]


def _with_system(cells: Cells, turns: Turns, tally: Tally) -> Turns:
    """The turns with the system turn of its column first; one that the dialogue has stays instead."""
    value, place = cells.get("system") if cells.has("system") else (None, "")
    if value is None:
        return turns
    text = _system_text(value, place, tally)
    own = "\n\n".join(turn.content for turn in turns if turn.role == "system" and turn.content)
    if own and own != text:
        tally.said["the dialogue has another system turn than its column; the turn was taken"] += 1
    return turns if own else [Message("system", text), *(turn for turn in turns if turn.role != "system")]


def _system_text(value: Any, place: str, tally: Tally) -> str:
    """The text of a system column, which may hold a system turn, or a list of them."""
    value = decoded(value, place)
    if not spells_turns(value) or is_part(value) or (isinstance(value, list) and all(map(is_part, value))):
        return text_of(value, place).strip()
    turns = as_turns(value, place, tally, None)
    if any(turn.role != "system" for turn in turns):
        raise RowError("a system column with other turns", place, f"got {brief(value)}")
    return _text(turns)


def scored(cells: Cells, shape: str, tally: Tally) -> tuple[tuple[Message, ...], tuple[Response, ...]]:
    """The prompt and its replies with their scores. Raises RowError."""
    read = {"preference": _preference, "responses": _responses, "labels": _labelled}[shape]
    turns, replies = read(cells, tally)
    prompt = _checked(to_prompt(_with_system(cells, turns, tally)), cells)
    texts = [reply.text.strip() for reply in replies]
    if not all(texts):
        raise RowError("empty reply", cells.place)
    if len(set(texts)) < 2 and shape != "labels":
        raise RowError("identical replies" if len(texts) > 1 else "fewer than two replies", cells.place)
    return prompt, replies


def _preference(cells: Cells, tally: Tally) -> tuple[Turns, tuple[Response, ...]]:
    before = prompt_turns(cells, tally)
    found = []
    for column in ("chosen", "rejected"):
        value, place = cells.get(column)
        turns = _plain(as_turns(value, place, tally, "assistant"))
        if not turns:
            raise RowError("empty reply", cells.place)
        end = _reply_at(turns)
        if end == len(turns):
            raise RowError("a reply is not the assistant's", cells.place)
        found.append((_context(before, turns[:end], tally), _text(turns[end:])))
    (one, good), (other, bad) = found
    if to_prompt(one) != to_prompt(other):
        raise RowError("chosen and rejected continue different dialogues", cells.place)
    return one, (Response(good, 1.0), Response(bad, 0.0))


def _good_reply(replies: Sequence[Response], cells: Cells) -> str:
    """What a conversation may teach of labelled replies. Raises RowError where none is labelled good."""
    good = [reply.text for reply in replies if reply.scores.get(LABEL, 0.0) > 0]
    if not good:
        raise RowError("no reply that is labelled good", cells.place)
    return good[0]


def _labelled(cells: Cells, tally: Tally) -> tuple[Turns, tuple[Response, ...]]:
    if is_vote(cells):
        return prompt_turns(cells, tally), tuple(voted(cells))
    label, score = label_of(cells)
    if cells.has("messages") and not cells.has("completion"):
        before, turns = [], _plain(as_turns(*cells.get("messages"), tally, None))
    elif cells.name("completion") is None:
        raise RowError("no column `reply`", cells.place)
    else:
        before = prompt_turns(cells, tally)
        turns = _plain(as_turns(*cells.get("completion"), tally, "assistant"))
    end = _reply_at(turns)
    if end == len(turns):
        raise RowError("a reply is not the assistant's" if turns else "empty reply", cells.place)
    by = cells.row.data.get("author") or cells.row.data.get("model")
    reply = Response(
        _text(turns[end:]), score, {} if label is None else {LABEL: score}, by if isinstance(by, str) else ""
    )
    return _context(before, turns[:end], tally), (reply,)


def _text(turns: Turns) -> str:
    return "\n\n".join(turn.content for turn in turns).strip()


def _responses(cells: Cells, tally: Tally) -> tuple[Turns, tuple[Response, ...]]:
    value, place = cells.get("responses")
    items = decoded(value, place, as_list=True)
    if not isinstance(items, list):
        raise RowError("`responses` is no list", place, f"got {brief(items)}")
    items = [item for item in items if not is_absent(item)] if cells.name("scores") is None else items
    if items and not any(isinstance(item, dict) and known(item, _SCORE) for item in items):
        scores, where = cells.get("scores")
        scores = decoded(scores, where, as_list=True)
        if not isinstance(scores, list) or len(scores) != len(items):
            raise RowError("`scores` is no list of one number a response", cells.place, f"got {brief(scores)}")
        items = [{"text": text, "score": score} for text, score in zip(items, scores, strict=True)]
    return prompt_turns(cells, tally), tuple(_scored(item, f"{place}[{i}]", tally) for i, item in enumerate(items))


def _scored(item: Any, place: str, tally: Tally) -> Response:
    if not isinstance(item, dict):
        raise RowError("a response that is no object", place, f"got {brief(item)}")
    data = {str(key): value for key, value in item.items() if not is_absent(value)}
    score, text, author = (known(data, names) for names in (_SCORE, _REPLY, _AUTHOR))
    number = finite(number_in(data[score])) if score else None
    if number is None:
        raise RowError("a response without a number as its score", place, f"it has {brief(data)}")
    if text is None:
        raise RowError("a response without text", place, f"it has {brief(data)}")
    turns = as_turns(data[text], place, tally, "assistant")
    if any(turn.role != "assistant" for turn in turns):
        raise RowError("a response that is not the assistant's alone", place)
    by = data.get(author) if author else ""
    return Response(_text(turns), number, author=by if isinstance(by, str) else "")
