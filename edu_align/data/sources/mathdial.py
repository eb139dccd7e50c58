"""MathDial (Macina et al. 2023, arXiv 2305.14536): teachers tutoring a student model on its own wrong solution."""

import re

from edu_align.data.download import GitHubSource
from edu_align.data.questions import Turn, clean, final_number, merge_turns, opening, problem_key, to_messages
from edu_align.data.readers import Row
from edu_align.records import Conversation, Message

_SPEAKER = re.compile(r"\s*([^:\n]{1,30}):(.*)", re.DOTALL)
_MOVE = re.compile(r"\s*\((?:generic|focus|probing|telling)\)", re.IGNORECASE)


def to_conversation(row: Row, record_id: str) -> Conversation | str:
    """A dialogue with every teacher turn trained on, or the reason why the row cannot be used.

    The student's wrong solution is what the teacher has in front of them, so it stands in the first user turn.

        {"question": "Ann has 3 bags of 4 nuts. ...", "student_incorrect_solution": "3 + 4 = 7", ...,
         "conversation": "Teacher: (probing)How many are in one bag?|EOM|Ann: 4|EOM|Teacher: (focus)And in 3?"}
        ->
        user       Ann has 3 bags of 4 nuts. ...   My solution: 3 + 4 = 7
        assistant  How many are in one bag?  (trained)
        user       4
        assistant  And in 3?  (trained)

    Any speaker but the teacher is the student (upstream sometimes writes the student's name). Neighbouring turns of
    one speaker are joined, repeats within them dropped, and a student turn at the end, which nobody answers, goes.
    Where the wrong solution is not known, the first teacher turn speaks of work that is not in the prompt: it is not
    trained on unless it is the only one. `meta` has `question_from` where the question was found by matching, which
    nobody measures on (see `SuiteData.mathdial`). Raises UserError for a missing column or a value of another type.
    """
    problem = clean(row.get("question", str))
    work = clean(row.get("student_incorrect_solution", str))
    if not problem:
        return "empty problem"
    turns: list[Turn] = []
    for part in row.get("conversation", str).split("|EOM|"):
        if not clean(part):
            continue
        match = _SPEAKER.fullmatch(part)
        if match is None:
            return "a turn without a speaker"
        speaker, text = match[1].strip().lower(), match[2]
        if speaker in ("teacher", "tutor"):
            turns.append(("assistant", _MOVE.sub("", text, count=1) if _MOVE.match(text) else text))
        else:
            turns.append(("user", text))
    dialogue = merge_turns(turns)
    while dialogue and dialogue[-1][0] == "user":
        dialogue.pop()
    if not dialogue:
        return "no teacher turn"
    merged = merge_turns([("user", opening(problem, work)), *dialogue], joint="\n\n")
    meta = {"problem": problem, "gold_answer": final_number(row.get("ground_truth", str))}
    meta |= {"question_from": row.get("question_from", str)} if "question_from" in row.data else {}
    messages = to_messages(merged, train=True)
    if not work and sum(message.train for message in messages) > 1:
        messages = (messages[0], Message("assistant", messages[1].content), *messages[2:])
    return Conversation(messages, record_id, "mathdial", problem_key(problem), meta)


SOURCE = GitHubSource(
    folder="mathdial",
    repository="eth-nlped/mathdial",
    revision="e4d8b57b6965483d7989a41920c37b95e3987189",
    paths={"train.jsonl": "data/train.jsonl", "test.jsonl": "data/test.jsonl"},
    stand_ins={"train.jsonl": "mathdial_train/mathdial_shape.jsonl"},  # the training part, put together again
    conversation=to_conversation,
)
