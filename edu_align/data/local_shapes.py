"""The cells of a user's row: turns, prompts and replies in the spellings that people use."""

import difflib
import json
from typing import Any

from edu_align.data.read import Row, brief
from edu_align.data.records import Message, Response
from edu_align.data.values import MOST_LEVELS, finite, looked_through
from edu_align.errors import UserError

SHAREGPT_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
LIST_COLUMNS = ("messages", "conversations", "responses", "scores")
Found = tuple[tuple[Message, ...], tuple[Response, ...]]


def _value(row: Row, column: str) -> Any:
    """The cell. CSV has no lists: text in a list column, or text that spells turns, is read as JSON."""
    value = row.get(column, object)
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    levels, _ = looked_through(found)
    if levels > MOST_LEVELS:
        raise UserError(f"{row.place}: `{column}` is nested {levels} levels deep; at most {MOST_LEVELS} are read.")
    return found if column in LIST_COLUMNS or _is_turns(found) else value


def _is_turns(value: Any) -> bool:
    turns = value if isinstance(value, list) else [value]
    return bool(turns) and all(
        isinstance(t, dict) and ({"role", "content"} <= set(t) or {"from", "value"} <= set(t)) for t in turns
    )


def read_messages(row: Row, column: str) -> tuple[Message, ...]:
    """A column of turns, in either spelling, as messages."""
    value = _value(row, column)
    parts = Row({column: value}, row.place, 0).nested(column)
    return tuple(_message(part) for part in parts)


def _message(part: Row) -> Message:
    """A turn from {role, content} or {from, value}, with an optional `loss` (false: not trained on)."""
    sharegpt = "from" in part.data
    role = part.get("from" if sharegpt else "role", str)
    content = part.get("value" if sharegpt else "content", str)
    if role not in SHAREGPT_ROLES:
        near = difflib.get_close_matches(role, SHAREGPT_ROLES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else " Drop or rename such turns."
        raise UserError(f"{part.place}: a role must be one of {', '.join(SHAREGPT_ROLES)}, got {brief(role)}.{hint}")
    role, loss = SHAREGPT_ROLES[role], part.data.get("loss")
    if loss not in (None, True, False) or (loss and role != "assistant"):
        raise UserError(
            f"{part.place}: `loss` must be true, false or null, true on assistant turns only, got {brief(loss)}."
        )
    return Message(role, content.strip(), train=role == "assistant" and (loss is None or bool(loss)))


def read_preference(row: Row) -> Found | str:
    """The prompt, and the chosen (score 1) and rejected (score 0) reply; or the reason why the row has none."""
    chosen, rejected = _reply(row, "chosen"), _reply(row, "rejected")
    if chosen[:-1] != rejected[:-1]:
        return "chosen and rejected continue different dialogues"
    if not chosen[-1:] or not rejected[-1:]:
        return "empty reply"
    if chosen[-1].role != "assistant" or rejected[-1].role != "assistant":
        return "a reply is not the assistant's"
    prompt = chosen[:-1] or _prompt(row)
    return _plain(prompt), (Response(chosen[-1].content.strip(), 1.0), Response(rejected[-1].content.strip(), 0.0))


def _reply(row: Row, column: str) -> tuple[Message, ...]:
    """Text, one message or messages: the last message is the reply, those before it are the prompt."""
    value = _value(row, column)
    if isinstance(value, str):
        return (Message("assistant", value),)
    if isinstance(value, dict):
        return (_message(Row(value, f"{row.place}, {column}", 0)),)
    return read_messages(row, column)


def _plain(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    return tuple(Message(message.role, message.content) for message in messages)


def _prompt(row: Row) -> tuple[Message, ...]:
    column = "conversations" if "prompt" not in row.data and "conversations" in row.data else "prompt"
    value = _value(row, column)
    return (Message("user", value.strip()),) if isinstance(value, str) else _plain(read_messages(row, column))


def read_responses(row: Row) -> Found:
    """The prompt and its scored replies."""
    items = Row({"responses": _value(row, "responses")}, row.place, row.number).get("responses", list)
    if items and all(isinstance(item, str) for item in items):
        scores = _value(row, "scores")
        if not isinstance(scores, list) or len(scores) != len(items):
            raise UserError(
                f"{row.place}: `scores` must be a list of {len(items)} numbers, one a response, got "
                f"{brief(scores)}. Mend the row: {row.shown()}"
            )
        items = [{"text": text, "score": score} for text, score in zip(items, scores, strict=True)]
    parts = Row({"responses": items}, row.place, 0).nested("responses")
    return _prompt(row), tuple(_scored(part) for part in parts)


def _scored(part: Row) -> Response:
    score = finite(part.get("score", object))
    if score is None:
        said = brief(part.data["score"])
        raise UserError(f"{part.place}: `score` must be a finite number, got {said}. The response: {part.shown()}")
    text = part.get("text" if part.data.get("response") is None else "response", str)
    author = part.data.get("author")
    return Response(text.strip(), score, author=author if isinstance(author, str) else "")
