"""StepVerify (Daheim et al. 2024, arXiv 2407.09136): MathDial's openings; teachers marked the first wrong step."""

import re
from collections.abc import Mapping, Sequence

from edu_align.data.download import GitHubSource
from edu_align.data.questions import Turn, clean, final_number, merge_turns, opening, problem_key, to_messages
from edu_align.data.readers import Row, brief
from edu_align.data.sources.one_author import right_and_wrong
from edu_align.records import Conversation, Message, ResponseGroup
from edu_align.tutoring.text import mentions
from edu_align.utils.errors import UserError
from edu_align.utils.hashing import sha256

AUTHOR = "Teacher"
# What leads over from a quoted step to the teacher's words; both replies of a pair have the same one.
FRAMES = (
    'Look at this step again: "{}" {}',
    'Let us go back to "{}" {}',
    'I would like to talk about this part: "{}" {}',
    'You wrote: "{}" {}',
)
_ANSWER_ONLY = re.compile(r"[^A-Za-z]*")


def to_conversation(row: Row, record_id: str) -> Conversation | str:
    """The student's solution, what was said on it, and the teacher's reply, or the reason why the row cannot be used.

        {"problem": "Ann has 3 bags of 4 nuts ...", "student_incorrect_solution": ["3 + 4 = 7 nuts.", " 7"],
         "incorrect_index": 0, "incorrect_step": "3 + 4 = 7 nuts.", "reference_solution": "3 x 4 = 12\\n 12", ...,
         "dialog_history": [{"user": "Teacher", "text": "Tell me your solution"},
                            {"user": "Student", "text": "I added."}, {"user": "Teacher", "text": "What is a bag?"}]}
        ->
        user       Ann has 3 bags of 4 nuts ...   My solution: 3 + 4 = 7 nuts. 7
        assistant  Tell me your solution
        user       I added.
        assistant  What is a bag?  (trained)

    `meta`: `steps` (one a line, see `steps_of`), `incorrect_step` and `incorrect_index` (from 0), `error_category`,
    `problem`, `gold_answer`, `reference` (a right solution). Raises UserError for a missing column, a value of another
    type and an index that is none.
    """
    problem = clean(row.get("problem", str))
    steps = [clean(step).replace("\n", " ") for step in texts(row, "student_incorrect_solution")]
    if not problem or not any(steps):
        return "empty problem or solution"
    spoken: list[Turn] = [
        ("user" if turn.get("user", str).lower() == "student" else "assistant", turn.get("text", str))
        for turn in row.nested("dialog_history")
    ]
    turns = merge_turns([("user", opening(problem, "\n".join(steps))), *spoken], joint="\n\n")
    if turns[-1][0] != "assistant":
        return "nothing that the teacher says at the end"
    index = row.get("incorrect_index", int)
    if not 0 <= index < len(steps):
        raise UserError(
            f"{row.place}: `incorrect_index` must be below the number of steps ({len(steps)}), got {index}. Mend the "
            f"row: {row.shown()}"
        )
    meta = {
        "problem": problem,
        "gold_answer": final_number(row.get("reference_solution", str)),
        "steps": "\n".join(steps),
        "reference": clean(row.get("reference_solution", str)),
        "incorrect_step": steps[index],
        "incorrect_index": str(index),
        "error_category": row.get("error_category", str),
    }
    prompt, reply = to_messages(turns[:-1], train=False), Message("assistant", turns[-1][1], train=True)
    return Conversation((*prompt, reply), record_id, "stepverify", problem_key(problem), meta)


def to_taught(row: Row, record_id: str) -> Conversation | str:
    """The conversation, where its reply is one to learn: some hold the answer."""
    talk = to_conversation(row, record_id)
    return "the reply holds the answer" if isinstance(talk, Conversation) and _tells(talk) else talk


def to_group(row: Row, record_id: str) -> ResponseGroup | str:
    """The teacher's reply behind the wrong step over the same words behind another one, or the reason why not.

        6.0  You wrote: "3 + 4 = 7 nuts." What is a bag?
        2.0  You wrote: "Then I take 2 away." What is a bag?

    One author and one style: only where the mistake is makes the difference. The other step is as long as can be found,
    before or behind the mistake (see `other_step`). Replies that hold the answer are `unfit_to_learn`.
    """
    talk = to_conversation(row, record_id)
    if isinstance(talk, str):
        return talk
    index = int(talk.meta["incorrect_index"])
    other = other_step(steps_of(talk.meta), index, record_id)
    if other is None:
        return "no other step to point at"
    frame, said = FRAMES[_draw(record_id, "frame") % len(FRAMES)], talk.messages[-1].content
    right, wrong = (frame.format(step, said) for step in (talk.meta["incorrect_step"], other))
    replies = right_and_wrong(right, [wrong], AUTHOR)
    meta = talk.meta | {"other_step": other} | ({"unfit_to_learn": AUTHOR} if _tells(talk) else {})
    return ResponseGroup(talk.messages[:-1], replies, record_id, "stepverify", talk.group, meta)


def steps_of(meta: Mapping[str, str]) -> list[str]:
    """The steps of the student's solution; `incorrect_index` is a place in it."""
    return meta["steps"].split("\n")


def other_step(steps: Sequence[str], index: int, salt: str) -> str | None:
    """A step that is not the wrong one, most like it in length; None where there is none.

    Whether it comes before or behind is drawn by `salt` where both can be: steps before are right, those behind rest on
    the mistake, and were it always the earlier one, its place alone would tell. A last line with nothing but the answer
    is no step.
    """
    fit = [i for i, step in enumerate(steps) if step != steps[index] and not _ANSWER_ONLY.fullmatch(step)]
    sides = [side for side in ([i for i in fit if i < index], [i for i in fit if i > index]) if side]
    if not sides:
        return None
    side = sides[_draw(salt, "side") % len(sides)]
    return steps[min(side, key=lambda i: (abs(len(steps[i]) - len(steps[index])), i))]


def texts(row: Row, column: str) -> list[str]:
    """A column that holds a list of texts. Raises UserError for anything else."""
    found = row.get(column, list)
    if wrong := [item for item in found if not isinstance(item, str)]:
        raise UserError(f"{row.place}: `{column}` must hold texts, got {brief(wrong[0])}. Mend the row: {row.shown()}")
    return found


def _tells(talk: Conversation) -> bool:
    gold = talk.meta["gold_answer"]
    return bool(gold) and mentions(talk.messages[-1].content, gold)


def _draw(*parts: str) -> int:
    return int(sha256(":".join(parts))[:8], 16)


SOURCE = GitHubSource(
    folder="stepverify",
    repository="eth-lre/verify-then-generate",
    revision="065be0433f5e04648a15850aacc532f0e951faea",
    paths={"dataset.json": "dataset/dataset.json"},
    conversation=to_taught,
    preference=to_group,
    threshold=4.0,  # between right and wrong
)
