"""`dataset=local`: the user's own file in one of the common shapes."""

import difflib
import json
from collections.abc import Mapping

from edu_align.data.local_shapes import read_messages, read_preference, read_responses
from edu_align.data.read import Row, shorten
from edu_align.data.records import Conversation, Message, Record, ResponseGroup
from edu_align.data.text import problem_key
from edu_align.data.values import NO_UNICODE, is_unicode
from edu_align.errors import UserError

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
