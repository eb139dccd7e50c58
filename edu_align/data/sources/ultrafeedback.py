"""UltraFeedback, binarized (Cui et al. 2023, arXiv 2310.01377; Tunstall et al. 2023): what Zephyr's DPO reads."""

from edu_align.data.hub import HubPart, HubSource
from edu_align.data.questions import problem_key
from edu_align.data.readers import Row, brief, finite
from edu_align.data.rows.turns import to_dialogue
from edu_align.data.sources.chat_turns import read_turns
from edu_align.records import Response, ResponseGroup
from edu_align.utils.errors import UserError


def to_group(row: Row, record_id: str) -> ResponseGroup | str:
    """The chosen reply over the rejected one, or the reason why the row cannot be used.

        {"prompt": "Why is the sky blue?", "prompt_id": "f0a1...", "score_chosen": 8.5, "score_rejected": 4.0,
         "chosen":   [{"role": "user", "content": "Why is the sky blue?"}, {"role": "assistant", "content": "Air ..."}],
         "rejected": [{"role": "user", "content": "Why is the sky blue?"}, {"role": "assistant", "content": "It ..."}]}
        ->
        prompt     user  Why is the sky blue?
        responses  8.5  Air ...
                   4.0  It ...

    Scores are GPT-4's, 1 to 10. Rows of equal scores are left out: they say nothing about which reply is better.
    Raises UserError for a missing column, a value of another type or an unknown role.
    """
    chosen, rejected = (to_dialogue(read_turns(row, column, trained=False)) for column in ("chosen", "rejected"))
    if isinstance(chosen, str):
        return chosen
    if isinstance(rejected, str):
        return rejected
    if chosen[:-1] != rejected[:-1]:
        return "chosen and rejected continue different dialogues"
    better, worse = _score(row, "score_chosen"), _score(row, "score_rejected")
    if better == worse:
        return "equal scores"
    if better < worse:
        return "the chosen reply has the lower score"
    if chosen[-1].content == rejected[-1].content:
        return "identical replies"
    replies = (Response(chosen[-1].content, better), Response(rejected[-1].content, worse))
    group = problem_key(row.get("prompt", str).strip())
    return ResponseGroup(chosen[:-1], replies, record_id, "ultrafeedback", group)


def _score(row: Row, column: str) -> float:
    value = row.get(column, object)
    number = finite(value)
    if number is None:
        said = brief(value)
        raise UserError(f"{row.place}: `{column}` must be a finite number, got {said}. Mend the row: {row.shown()}")
    return number


SOURCE = HubSource(
    folder="ultrafeedback",
    repository="HuggingFaceH4/ultrafeedback_binarized",
    revision="3949bf5f8c17c394422ccfab0c31ea9c20bdeb85",
    parts=(HubPart("train_prefs", "train_prefs"), HubPart("test_prefs", "test_prefs", test=True)),
    preference=to_group,
)
