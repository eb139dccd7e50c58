"""Puffin (LDJnr/Puffin): 3,000 conversations of several turns between people and GPT-4."""

from edu_align.data.hub import BRANCH, HubPart, HubSource
from edu_align.data.readers import Row
from edu_align.data.sources import chat_turns
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
    return chat_turns.to_conversation(row, record_id, "conversations", "puffin")


SOURCE = HubSource(
    folder="puffin",
    repository="LDJnr/Puffin",
    revision=BRANCH,
    parts=(HubPart("train", "train"),),
    conversation=to_conversation,
)
