"""UltraChat 200k (Ding et al. 2023, arXiv 2305.14233, filtered for Zephyr): what Zephyr's SFT reads."""

from edu_align.data.hub import HubPart, HubSource
from edu_align.data.readers import Row
from edu_align.data.sources import chat_turns
from edu_align.records import Conversation


def to_conversation(row: Row, record_id: str) -> Conversation | str:
    """A conversation with every assistant turn trained on, or the reason why the row cannot be used.

        {"prompt": "Why is the sky blue?", "prompt_id": "f0a1...", "messages": [
          {"role": "user", "content": "Why is the sky blue?"}, {"role": "assistant", "content": "Air scatters ..."}]}
        ->
        user       Why is the sky blue?
        assistant  Air scatters ...  (trained)

    Raises UserError for a missing column, a value of another type or an unknown role.
    """
    return chat_turns.to_conversation(row, record_id, "messages", "ultrachat")


SOURCE = HubSource(
    folder="ultrachat",
    repository="HuggingFaceH4/ultrachat_200k",
    revision="8049631c405ae6576f93f445c6b8166f76f5505a",
    parts=(HubPart("train_sft", "train_sft"), HubPart("test_sft", "test_sft", test=True)),
    conversation=to_conversation,
)
