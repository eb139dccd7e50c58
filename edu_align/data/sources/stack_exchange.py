"""Stack Exchange, paired (lvwerra/stack-exchange-paired): questions, and two answers of which one has more votes."""

from edu_align.data.hub import BRANCH, HubPart, HubSource
from edu_align.data.readers import Row, brief
from edu_align.records import Conversation, Message, Response, ResponseGroup
from edu_align.utils.errors import UserError

CHOSEN, REJECTED = 1.0, 0.0  # the set says which answer is better, not by how much


def to_conversation(row: Row, record_id: str) -> Conversation | str:
    """The question and its better answer, for the part data/finetune; or the reason why the row cannot be used.

        {"qid": 17, "question": "How do I sort a list?", "date": "2020/01/31", "metadata": ["https://..."],
         "response_j": "Call `sorted`.", "response_k": "Try it."}
        ->
        user       How do I sort a list?
        assistant  Call `sorted`.  (trained)

    The source's own scripts write "Question: ...\\n\\nAnswer: ..." for a base model; here the chat template frames the
    turns. A question stands in several rows, and rows with the same better answer become one record. Raises UserError
    for a missing column or a value of another type.
    """
    question, answer, _ = _texts(row)
    if not question or not answer:
        return "empty question or answer"
    messages = (Message("user", question), Message("assistant", answer, train=True))
    return Conversation(messages, record_id, "stack_exchange", _group(row))


def to_group(row: Row, record_id: str) -> ResponseGroup | str:
    """The better answer (score 1) over the other (score 0), for data/rl; or the reason why the row cannot be used.

    One row is one group of two: these are the pairs that the source trains on. Raises UserError for a missing column
    or a value of another type.
    """
    question, better, worse = _texts(row)
    if not question or not better or not worse:
        return "empty question or answer"
    if better == worse:
        return "identical replies"
    replies = (Response(better, CHOSEN), Response(worse, REJECTED))
    prompt = (Message("user", question),)
    return ResponseGroup(prompt, replies, record_id, "stack_exchange", _group(row))


def _texts(row: Row) -> tuple[str, str, str]:
    question, better, worse = (row.get(column, str).strip() for column in ("question", "response_j", "response_k"))
    return question, better, worse


def _group(row: Row) -> str:
    """One question stays on one side of the split, in every part of the set."""
    qid = row.get("qid", object)
    if isinstance(qid, bool) or not isinstance(qid, int | str) or qid == "":
        raise UserError(f"{row.place}: `qid` must be a number or text, got {brief(qid)}. Mend the row: {row.shown()}")
    return f"question:{qid}"


SOURCE = HubSource(
    folder="stack_exchange",
    repository="lvwerra/stack-exchange-paired",
    revision=BRANCH,
    parts=(
        HubPart("finetune", "train", "data/finetune", views=("conversation",)),
        HubPart("rl", "train", "data/rl", views=("preference",)),
        HubPart("evaluation", "train", "data/evaluation", test=True),
    ),
    conversation=to_conversation,
    preference=to_group,
)
