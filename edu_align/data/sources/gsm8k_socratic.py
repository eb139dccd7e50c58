"""GSM8K (Cobbe et al. 2021, arXiv 2110.14168) in its Socratic form: a guiding question before every step."""

import re

from edu_align.data.download import GitHubSource
from edu_align.data.questions import Turn, clean, merge_turns, opening, problem_key, to_messages
from edu_align.data.readers import Row
from edu_align.records import Conversation

_CALCULATOR = re.compile(r"<<[^<>]*>>")


def to_conversation(row: Row, record_id: str) -> Conversation | str:
    """A dialogue in which the tutor asks the guiding questions and the student answers with the steps.

        {"question": "Ann has 3 bags of 4 nuts and eats 2. How many are left?",
         "answer": "How many does she have? ** She has 3*4=<<3*4=12>>12 nuts.
                    How many are left? ** 12-2=<<12-2=10>>10 are left.
                    #### 10"}
        ->
        user       Ann has 3 bags of 4 nuts and eats 2. How many are left?
        assistant  How many does she have?  (trained)
        user       She has 3*4=12 nuts.
        assistant  How many are left?  (trained)

    The last step has no answer from the tutor and is left out. Raises UserError for a missing column or a value
    of another type.
    """
    problem = clean(row.get("question", str))
    if not problem:
        return "empty problem"
    turns: list[Turn] = [("user", opening(problem))]
    gold = ""
    for line in row.get("answer", str).split("\n"):
        if line.startswith("####"):
            gold = clean(line[4:]).replace(",", "")
            continue
        question, mark, step = _CALCULATOR.sub("", line).partition("**")
        if mark:
            turns += [("assistant", question), ("user", step)]
    dialogue = merge_turns(turns)
    while dialogue and dialogue[-1][0] == "user":
        dialogue.pop()
    if not dialogue:
        return "no guiding question"
    meta = {"problem": problem, "gold_answer": gold}
    return Conversation(to_messages(dialogue, train=True), record_id, "gsm8k_socratic", problem_key(problem), meta)


SOURCE = GitHubSource(
    folder="gsm8k",
    repository="openai/grade-school-math",
    revision="3101c7d5072418e28b9008a6636bde82a006892c",
    paths={f"{part}_socratic.jsonl": f"grade_school_math/data/{part}_socratic.jsonl" for part in ("train", "test")},
    tests=("test_socratic.jsonl",),
    conversation=to_conversation,
)
