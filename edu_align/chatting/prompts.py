"""Files of prompts: what is to be answered."""

from dataclasses import dataclass
from pathlib import Path

from edu_align.data.readers import Row, rows_of
from edu_align.data.row_files import look_at
from edu_align.data.sources.local import read_messages, read_responses
from edu_align.records import Message
from edu_align.utils.errors import UserError

COLUMNS = ("messages", "conversations", "prompt")  # the first one that a row has is read
COLUMNS_OF_TABLES = ("prompt", "messages", "conversations")  # lines of text without one of these are prompts


@dataclass(frozen=True)
class Prompt:
    """Turns that end with the user's. `reference` is the reply that stood behind them in the file, if one did."""

    id: str
    turns: tuple[Message, ...]
    reference: str | None = None


def read_prompts(path: str | Path) -> list[Prompt]:
    """The prompts of a file of rows, or of lines of text, in its order.

        2 + 3?                                                               a line of text
        {"prompt": "2 + 3?"}  {"prompt": [{"role": "user", ...}]}            text or turns
        {"messages": [{"role": "user", ...}]}  {"conversations": [...]}      turns; a last assistant turn is taken off
                                                                             as the reference reply

    A column `id` names the rows, else their number does. Raises UserError for a row without a prompt, turns that do
    not alternate, and an id that occurs twice.
    """
    path = Path(path).expanduser()
    file = look_at(path, COLUMNS_OF_TABLES)
    if file.note:
        print(f"edu_align: {path}: {file.note}", flush=True)
    rows = list(rows_of(file))
    prompts = [_prompt(row) for row in rows]
    seen: dict[str, str] = {}
    for row, prompt in zip(rows, prompts, strict=True):
        if prompt.id in seen:
            raise UserError(f"{row.place}: the id {prompt.id!r} is taken by {seen[prompt.id]}. Give each row its own.")
        seen[prompt.id] = row.place
    return prompts


def _prompt(row: Row) -> Prompt:
    if row.fault:
        raise UserError(f"{row.place}: {row.fault}. {row.detail} Mend or remove the row.")
    column = next((name for name in COLUMNS if row.data.get(name) is not None), None)
    if column is None:
        raise UserError(
            f"{row.place}: none of the columns {', '.join(COLUMNS)}; there are {', '.join(row.data) or 'none'}. "
            f"Rename yours. The row: {row.shown()}"
        )
    if column == "prompt":
        # The prompt of scored replies may be text or turns; here there are no replies.
        turns, _ = read_responses(Row({"prompt": row.data["prompt"], "responses": []}, row.file, row.number))
    else:
        turns = tuple(Message(turn.role, turn.content) for turn in read_messages(row, column))
    reference = None
    if len(turns) > 1 and turns[-1].role == "assistant":
        turns, reference = turns[:-1], turns[-1].content
    fault = _fault(turns)
    if fault:
        raise UserError(f"{row.place}: {fault}. Mend or remove the row: {row.shown()}")
    return Prompt(str(row.data["id"]) if row.data.get("id") is not None else str(row.number), turns, reference)


def _fault(turns: tuple[Message, ...]) -> str:
    """Why turns are no prompt: "" when they are one."""
    spoken = turns[1:] if turns and turns[0].role == "system" else turns
    if not spoken:
        return "there is no turn to answer"
    if not all(turn.content.strip() for turn in turns):
        return "a turn is empty"
    if any(turn.role != ("user", "assistant")[i % 2] for i, turn in enumerate(spoken)):
        return "the turns do not alternate user, assistant"
    return "" if spoken[-1].role == "user" else "the last turn is not the user's"
