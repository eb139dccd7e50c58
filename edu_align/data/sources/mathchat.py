"""MathChat (Liang et al. 2024, arXiv 2405.19444): GPT-4's replies to wrong attempts at GSM8K's test questions.

For checks only: a hint of `error_correction` gives nothing away, a reply of `error_analysis` mostly gives the answer.
Its questions are those that `evaluate` measures on, so nothing is ever trained on it (`CHECK_SOURCES`).
"""

import re

from edu_align.data.download import GitHubSource
from edu_align.data.questions import clean, opening, problem_key
from edu_align.data.readers import Row
from edu_align.records import Conversation, Message
from edu_align.tutoring.text import mentions

_TURN = re.compile(r"(?:^|\n)[^\S\n]*([AB])\s*:")


def to_conversation(row: Row, record_id: str) -> Conversation | str:
    """A wrong attempt and the reply to it, or the reason why the row cannot be used.

        {"question": "Ann has 3 bags of 4 nuts ...", "answer": "3 x 4 = <<3*4=12>>12\\n#### 12",
         "error_correction": "A: Ann has ...?\\n\\nB: 3 + 4 = 7.\\n\\nA: How many are in one bag?\\n\\nB: Oh, 12."}
        ->
        user       Ann has 3 bags of 4 nuts ...   My solution: 3 + 4 = 7.
        assistant  How many are in one bag?  (the reply that is looked at)

    `meta`: `problem`, `gold_answer` and `reveals`, which says whether the reply holds the answer ("yes" or "no"). The
    column has one name in both files. Raises UserError for a missing column or a value of another type.
    """
    question = clean(row.get("question", str))
    gold = clean(row.get("answer", str).rpartition("####")[2]).replace(",", "")
    parts = _TURN.split(clean(row.get("error_correction", str)))
    turns = list(zip(parts[1::2], map(clean, parts[2::2]), strict=True))
    attempt = next((place for place, (who, _) in enumerate(turns) if who == "B"), len(turns))
    if not question or not gold:
        return "empty question or answer"
    if attempt + 1 >= len(turns) or turns[attempt + 1][0] != "A":
        return "no attempt with a reply"
    reply = turns[attempt + 1][1]
    messages = (Message("user", opening(question, turns[attempt][1])), Message("assistant", reply, train=True))
    meta = {"problem": question, "gold_answer": gold, "reveals": "yes" if mentions(reply, gold) else "no"}
    return Conversation(messages, record_id, "mathchat", problem_key(question), meta)


FILES = ("error_correction.jsonl", "error_analysis.jsonl")
SOURCE = GitHubSource(
    folder="mathchat",
    repository="Zhenwen-NLP/MathChat",
    revision="f9d899866bd9146b0a2d91ff8362b4440c19adb0",
    paths={file: f"MathChat%20Benchmark/{file}" for file in FILES},
    tests=FILES,
    conversation=to_conversation,
)
