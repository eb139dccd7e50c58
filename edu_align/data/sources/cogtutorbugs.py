"""CogTutorBugs (github.com/umass-ml4ed/CogTutorBugs): students' wrong algebra steps, and what a program said to each.

One program wrote all of the feedback, so two of its sentences on one equation differ in the diagnosis only.
"""

import re
from collections.abc import Iterable, Iterator

from edu_align.data.questions import clean, opening, problem_key
from edu_align.data.readers import Row
from edu_align.data.rows.words import LeftOut
from edu_align.data.sources.one_author import ComparedRows, right_and_wrong
from edu_align.records import Conversation, Message, Record, ResponseGroup

AUTHOR = "tutoring program"
DONE = {
    "ADD_SIDE": "I add {} to both sides.",
    "SUB_SIDE": "I subtract {} from both sides.",
    "MUL_SIDE": "I multiply both sides by {}.",
    "DIV_SIDE": "I divide both sides by {}.",
    "COMBINE_ADD": "I add the terms of one side up to {}.",
    "COMBINE_MUL": "I simplify the product or fraction to {}.",
}
_LINE = re.compile(r"\s*<(?:hr|p|br)\s*/?>\s*", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z]+\s*/?>", re.IGNORECASE)


def to_conversation(row: Row, record_id: str) -> Conversation | str:
    """A wrong step and the feedback on it, or the reason why the row cannot be used.

        {"eq1": "3x=12", "action": "SUB_SIDE", "Input": "3", "eq2": "3x-3=12-3", "Label Name": "DIVIDE_TO_SIMPLIFY",
         "Feedback": "To remove the coefficient of <expression>3x</expression>, ..."}
        ->
        user       Solve 3x=12   My solution: I subtract 3 from both sides. 3x-3=12-3
        assistant  To remove the coefficient of 3x, ...  (trained)

    `meta["mistake"]` is the label. Raises UserError for a missing column or a value of another type.
    """
    equation, after = clean(row.get("eq1", str)), clean(row.get("eq2", str))
    feedback = without_tags(row.get("Feedback", str))
    done = DONE.get(row.get("action", str))
    if not equation or not after:
        return "empty equation"
    if not feedback:
        return "empty feedback"
    if done is None:
        return "an unknown action"
    step = f"{done.format(clean(row.get('Input', str)))}\n{after}"
    messages = (Message("user", opening(f"Solve {equation}", step)), Message("assistant", feedback, train=True))
    meta = {"problem": equation, "mistake": row.get("Label Name", str)}
    return Conversation(messages, record_id, "cogtutorbugs", problem_key(equation), meta)


def without_tags(text: str) -> str:
    """The text without tags: `<b>3.5</b><hr>Check <expression>x</expression>.` -> `3.5`, and below it `Check x.`"""
    return clean(_TAG.sub("", _LINE.sub("\n", text)))


def on_one_equation(steps: Iterable[Record | LeftOut]) -> Iterator[Record | LeftOut]:
    """For each equation and mistake, the feedback on it over that on every other mistake of the same equation.

        Solve 3x=12   My solution: I subtract 3 ...
        6.0  To remove the coefficient of 3x, ...             (its own)
        2.0  You forgot the x.                                (on another step of the same equation)

    The first step with a mistake stands for it. With the words alone neither sentence is the better one: each is chosen
    as often as it is rejected.
    """
    equations: dict[str, dict[str, Conversation]] = {}
    for step in steps:
        if not isinstance(step, Conversation):
            yield step
            continue
        first = equations.setdefault(step.meta["problem"], {}).setdefault(step.meta["mistake"], step)
        if first is not step:
            yield LeftOut("another step of its equation has the same mistake", step.id)
    for mistakes in equations.values():
        for own in mistakes.values():
            said = own.messages[-1].content
            others = {step.messages[-1].content for step in mistakes.values()} - {said}
            if not others:
                yield LeftOut("no other mistake on its equation", own.id)
                continue
            replies = right_and_wrong(said, sorted(others), AUTHOR)
            yield ResponseGroup(own.messages[:-1], replies, own.id, own.source, own.group, own.meta)


SOURCE = ComparedRows(
    folder="cogtutorbugs",
    repository="umass-ml4ed/CogTutorBugs",
    revision="518930ecc399beee668b54234478fe2bb94484d2",
    paths={"bug_full.json": "data/bug_full_5339.json"},
    conversation=to_conversation,
    preference=to_conversation,  # a row is one step in both views
    compared=on_one_equation,
    threshold=4.0,  # between right and wrong
)
