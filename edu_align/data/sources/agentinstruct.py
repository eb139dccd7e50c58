"""AgentInstruct (Zeng et al. 2023, arXiv 2310.12823): trajectories of GPT-4 in six environments."""

import re
from dataclasses import replace

from edu_align.data.hub import HubPart, HubSource
from edu_align.data.questions import problem_key
from edu_align.data.readers import Row, brief
from edu_align.data.rows.turns import to_trained
from edu_align.data.sources.chat_turns import read_turns
from edu_align.records import Conversation
from edu_align.utils.errors import UserError

_TASK = re.compile(r"^Task:.*$", re.MULTILINE)  # mind2web: every step of one task is a row of its own


def to_conversation(row: Row, record_id: str) -> Conversation | str:
    """A trajectory in which the turns flagged with `loss` are trained on, or the reason why it cannot be used.

        {"id": "os_7", "conversations": [
          {"from": "human", "loss": null, "value": "You are an assistant that acts on a Linux system ..."},
          {"from": "gpt", "loss": false, "value": "OK."},
          {"from": "human", "loss": null, "value": "How many files are in /etc?"},
          {"from": "gpt", "loss": true, "value": "Think: ... Act: bash ..."}]}
        ->
        user       You are an assistant that acts on a Linux system ...
        assistant  OK.
        user       How many files are in /etc?
        assistant  Think: ... Act: bash ...  (trained)

    A gpt turn is trained on when, and only when, its `loss` is true; false marks turns that the environment put in
    the agent's mouth (the acknowledgement, the worked example). Neither the data set's card nor the paper says what
    null means on a gpt turn; here it is not trained on. The task, and with it the group, is the last human turn before
    the first trained one. Raises UserError for a missing column, a value of another type or another flag.
    """
    flags = [_flag(part, row) for part in row.nested("conversations")]
    said = read_turns(row, "conversations", trained=False)
    if len(said) != len(flags):
        return "a turn of two sides"
    turns = [replace(turn, train=flag and turn.role == "assistant") for turn, flag in zip(said, flags, strict=True)]
    messages = to_trained(turns)
    if isinstance(messages, str):
        return messages
    meta = {"task": row.get("id", str)}
    first = next(i for i, message in enumerate(messages) if message.train)
    text = messages[first - 1].content
    task = _TASK.search(text)
    return Conversation(messages, record_id, "agentinstruct", problem_key(task[0] if task else text), meta)


def _flag(part: Row, row: Row) -> bool:
    flag = None if "loss" in part.columns and "loss" not in part.data else part.get("loss", object)
    if flag not in (None, True, False) or (flag and part.data.get("from") != "gpt"):
        raise UserError(
            f"{part.place}: `loss` must be true, false or null, and true on gpt turns only, got {brief(flag)}. "
            f"Mend the row: {row.shown()}"
        )
    return bool(flag)


SOURCE = HubSource(
    folder="agentinstruct",
    repository="THUDM/AgentInstruct",
    revision="d6aa98204667100cba2c45de35059457fe0a6d4d",
    parts=tuple(HubPart(name, name) for name in ("os", "db", "alfworld", "webshop", "kg", "mind2web")),
    conversation=to_conversation,
)
