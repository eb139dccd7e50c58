"""`dataset=local`: the user's own file in one of the common shapes."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from edu_align.config.schema import PREFERENCE_SOURCES, DatasetConfig
from edu_align.data.readers import (
    MOST_LEVELS,
    NO_UNICODE,
    Row,
    brief,
    depth_and_unicode,
    finite,
    is_unicode,
    rows_of,
    shorten,
)
from edu_align.data.row_files import look_at
from edu_align.data.sources.chat_turns import ROLES
from edu_align.data.sources.source import Part, Query, Source
from edu_align.data.text import problem_key
from edu_align.records import Conversation, Message, Record, Response, ResponseGroup
from edu_align.utils.errors import UserError

FORMATS = ("messages", "sharegpt", "preference", "responses")
CONVERSATION_FORMATS = ("messages", "sharegpt")
# Ours that each shape reads; `prompt` of a preference may also be `conversations`, or the start of both replies.
COLUMNS = {
    "messages": ("messages",),
    "sharegpt": ("conversations",),
    "preference": ("chosen", "rejected"),
    "responses": ("prompt", "responses"),
}
OPTIONAL = ("prompt", "conversations", "scores", "id", "group", "split")
EXPLICIT = ("id", "group", "split")  # read only when `dataset.columns` names them: such columns often mean other things

LIST_COLUMNS = ("messages", "conversations", "responses", "scores")
Found = tuple[tuple[Message, ...], tuple[Response, ...]]


@dataclass(frozen=True, kw_only=True)
class LocalFile(Source):
    """The user's file. The first row decides the format for all."""

    streams: ClassVar[bool] = True

    def open(self, name: str, query: Query) -> list[Part]:
        """Raises UserError for a format without the view, too."""
        dataset = query.dataset
        path = _path(dataset)
        file = look_at(path)
        first = next((row for row in rows_of(file) if not row.fault), None)
        if first is None:
            return [Part((row.fault for row in rows_of(file)), (str(path),), file.note)]
        format = choose_format(rename(first, dataset.columns), dataset.format, query.view)
        if query.view == "preference" and format in CONVERSATION_FORMATS:
            raise UserError(
                f"`dataset.path`={path}: format {format!r} has conversations only, preference training needs scored "
                "replies. Give prompt + chosen + rejected, or prompt + responses; or take a `dataset` that has "
                f"preferences: {', '.join(other for other in PREFERENCE_SOURCES if other != name)}."
            )
        note = f"format {format}" + (", by its columns" if dataset.format == "auto" else "")
        records = (row.fault or to_record(rename(row, dataset.columns), format) for row in rows_of(file))
        return [Part(records, (str(path),), ", ".join(filter(None, (file.note, note))))]

    def files(self, name: str, query: Query) -> list[Path]:
        return [_path(query.dataset)]


SOURCE = LocalFile()


def _path(dataset: DatasetConfig) -> Path:
    if not dataset.path:
        raise UserError("`dataset.path` must name your file for `dataset=local`, got null. Set dataset.path=FILE.")
    return Path(dataset.path).expanduser()


def rename(row: Row, columns: Mapping[str, str]) -> Row:
    """The row under our column names. `columns`: ours -> the user's. Raises UserError for a name on either side
    that does not exist."""
    ours = sorted({name for names in COLUMNS.values() for name in names} | set(OPTIONAL))
    data = {key: value for key, value in row.data.items() if key not in EXPLICIT}
    for our, theirs in columns.items():
        if our not in ours:
            near = difflib.get_close_matches(our, ours, n=1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            raise UserError(f"`dataset.columns`: {our!r} is none of our columns ({', '.join(ours)}).{hint}")
        data[our] = row.get(theirs, object)
    return Row(data, row.file, row.number, row.fault)


def choose_format(row: Row, wanted: str, view: str) -> str:
    """The shape of a (renamed) row: `wanted`, or for `auto` what its columns allow, in favour of the view's.

    `view` is `preference` or `conversation`. Raises UserError when no shape fits, with the columns that are there.
    """
    if wanted != "auto":
        if wanted not in FORMATS:
            near = difflib.get_close_matches(wanted, FORMATS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UserError(f"`dataset.format` must be auto or one of {', '.join(FORMATS)}, got {wanted!r}.{hint}")
        _require(row, wanted)
        return wanted
    fitting = [name for name in FORMATS if all(column in row.data for column in COLUMNS[name])]
    if "preference" in fitting and "sharegpt" in fitting:
        fitting.remove("sharegpt")  # the ranking form: `conversations` is the prompt there
    in_view = [name for name in fitting if (name in CONVERSATION_FORMATS) == (view == "conversation")]
    if not fitting:
        shapes = "; ".join(f"{name}: {' + '.join(columns)}" for name, columns in COLUMNS.items())
        raise UserError(
            f"{row.place}: no known shape has the columns {shorten(', '.join(row.data)) or 'none'}. Known are "
            f"{shapes}. Map yours with `dataset.columns={{ours: yours}}`. The row: {row.shown()}"
        )
    return (in_view or fitting)[0]


def _require(row: Row, format: str) -> None:
    for column in COLUMNS[format]:
        if column not in row.data:
            near = difflib.get_close_matches(column, map(str, row.data), n=1, cutoff=0.5)
            yours = near[0] if near else "your_column"
            raise UserError(
                f"{row.place}: format {format!r} needs a column `{column}`; there are "
                f"{shorten(', '.join(row.data)) or 'none'}. "
                f"Map it with `dataset.columns={{{column}: {yours}}}`. The row: {row.shown()}"
            )


def to_record(row: Row, format: str) -> Record | str:
    """A renamed row as a record, or the reason why it cannot be used.

        messages     {"messages": [{"role": "user", "content": "2 + 3?"}, {"role": "assistant", "content": "What ..."}]}
        sharegpt     {"conversations": [{"from": "human", "value": "2 + 3?"}, {"from": "gpt", "value": "What ..."}]}
                     -> Conversation; every assistant turn is trained unless it carries "loss": false
        preference   {"prompt": text or messages, "chosen": text, message or messages, "rejected": likewise}
                     -> ResponseGroup of the scores 1 and 0; `conversations` may stand for `prompt`
        responses    {"prompt": ..., "responses": [{"text" or "response": ..., "score": 3}, ...]}, or texts in
                     `responses` and numbers in `scores`  -> ResponseGroup

    Cells of a CSV that hold lists are JSON. Questions are kept together by the first user turn. Raises UserError for
    a missing column, a wrong type or an unknown role.
    """
    record_id = f"local:{_text(row, 'id')}" if "id" in row.data else f"local:{row.number}"
    meta = {"split": _text(row, "split")} if "split" in row.data else {}
    if format in CONVERSATION_FORMATS:
        messages = read_messages(row, COLUMNS[format][0])
        fault = _fault(messages) or _untrained(messages)
        return fault or Conversation(messages, record_id, "local", _group(row, messages), meta)
    found = read_preference(row) if format == "preference" else read_responses(row)
    if isinstance(found, str):
        return found
    prompt, responses = found
    fault = _fault(prompt) or ("prompt does not end with a user turn" if prompt[-1].role != "user" else "")
    fault = fault or ("" if all(is_unicode(response.text) for response in responses) else NO_UNICODE)
    fault = fault or ("empty reply" if not all(response.text.strip() for response in responses) else "")
    if not fault and len({response.text.strip() for response in responses}) < 2:
        fault = "identical replies" if len(responses) > 1 else "fewer than two replies"
    return fault or ResponseGroup(prompt, responses, record_id, "local", _group(row, prompt), meta)


def _group(row: Row, messages: tuple[Message, ...]) -> str:
    if "group" in row.data:
        return f"local:{_text(row, 'group')}"
    return problem_key(next(message.content for message in messages if message.role == "user"))


def _text(row: Row, column: str) -> str:
    value = row.get(column, object)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _fault(messages: tuple[Message, ...]) -> str:
    """Why turns are no dialogue: "" when they are one."""
    turns = messages[1:] if messages and messages[0].role == "system" else messages
    if not turns:
        return "no turns"
    if any(not message.content for message in messages):
        return "empty turn"
    if not all(is_unicode(message.content) for message in messages):
        return NO_UNICODE
    for i, message in enumerate(turns):
        if message.role != ("user", "assistant")[i % 2]:
            return "turns do not alternate user, assistant"
    return ""


def _untrained(messages: tuple[Message, ...]) -> str:
    if not any(message.role == "assistant" for message in messages):
        return "user turns only"
    return "" if any(message.train for message in messages) else "no turn to train on"


def _value(row: Row, column: str) -> Any:
    """The cell. CSV has no lists: text in a list column, or text that spells turns, is read as JSON."""
    value = row.get(column, object)
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    levels, _ = depth_and_unicode(found)
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
    if role not in ROLES:
        near = difflib.get_close_matches(role, ROLES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else " Drop or rename such turns."
        raise UserError(f"{part.place}: a role must be one of {', '.join(ROLES)}, got {brief(role)}.{hint}")
    role, loss = ROLES[role], part.data.get("loss")
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
