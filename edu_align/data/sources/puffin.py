"""Puffin (LDJnr/Puffin): 3,000 conversations of several turns between people and GPT-4."""

from edu_align.data.hub import BRANCH, HubPart, HubSource
from edu_align.data.readers import Row
from edu_align.data.sources.chat_turns import first_user, read_turns, to_trained
from edu_align.data.text import problem_key
from edu_align.records import Conversation


def to_conversation(row: Row, record_id: str) -> Conversation | str:
    """A conversation with every gpt turn trained on, or the reason why the row cannot be used.

        {"id": "12", "conversations": [{"from": "human", "value": "Why is the sky blue?"},
                                       {"from": "gpt", "value": "Air scatters ..."}]}
        ->
        user       Why is the sky blue?
        assistant  Air scatters ...  (trained)

    Conversations that open with the same question are one group. Raises UserError for a missing column, a value of
    another type or an unknown speaker.
    """
    messages = to_trained(read_turns(row, "conversations"))
    if isinstance(messages, str):
        return messages
    return Conversation(messages, record_id, "puffin", problem_key(first_user(messages)))


SOURCE = HubSource(
    folder="puffin",
    repository="LDJnr/Puffin",
    revision=BRANCH,
    parts=(HubPart("train", "train"),),
    conversation=to_conversation,
)
