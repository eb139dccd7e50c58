"""ConvoLearn (sampled in github.com/ahblay/socratic-tutor-eval): teachers talk with a simulated pupil about the Earth.

Every dialogue as a whole has a score from 1 to 5, given by models. There are four questions only.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from edu_align.data.download import GitHubSource
from edu_align.data.questions import Turn, clean, merge_turns, problem_key, to_messages
from edu_align.data.readers import Row, convert_rows, finite, iter_rows
from edu_align.data.rows.words import LeftOut
from edu_align.records import Conversation, Message, Record, Response, ResponseGroup

GOOD = 4.0  # score from which on a dialogue is taught
_TURN = re.compile(r"(?:^|\n)[^\S\n]*(Teacher|Student)\s*:", re.IGNORECASE)


def to_conversation(row: Row, record_id: str) -> Conversation | str:
    """A dialogue, or the reason why the row cannot be used.

        {"question": "Why is it warm?", "effectiveness_consensus": 4.5, ...,
         "cleaned_conversation": "Student: Why is it warm?\\nTeacher: What do you think?"}
        ->
        user       Why is it warm?
        assistant  What do you think?  (trained)

    `question` is that of the object around it. Raises UserError for a missing column or a value of another type.
    """
    question = clean(row.get("question", str))
    parts = _TURN.split(clean(row.get("cleaned_conversation", str)))
    turns: list[Turn] = [
        ("user" if who.lower() == "student" else "assistant", said)
        for who, said in zip(parts[1::2], parts[2::2], strict=True)
    ]
    dialogue = merge_turns(turns)
    while dialogue and dialogue[-1][0] == "user":
        dialogue.pop()
    score = finite(row.get("effectiveness_consensus", object))
    if not question or len(dialogue) < 2 or dialogue[0][0] != "user":
        return "no question with an answer at its start"
    if score is None:
        return "no score"
    meta = {"problem": question, "score": f"{score:g}"}
    return Conversation(to_messages(dialogue, train=True), record_id, "convolearn", problem_key(question), meta)


def by_question(talks: Sequence[Conversation]) -> Iterator[Record | LeftOut]:
    """For each question the first replies to it, with the scores of their dialogues."""
    questions: dict[str, list[Conversation]] = {}
    for talk in talks:
        questions.setdefault(talk.group, []).append(talk)
    for first, *others in questions.values():
        yield from (LeftOut("a reply beside others to its question", talk.id) for talk in others)
        replies = (
            Response(talk.messages[1].content, float(talk.meta["score"]), author="Teacher") for talk in (first, *others)
        )
        prompt, meta = (Message("user", first.meta["problem"]),), {"problem": first.meta["problem"]}
        yield ResponseGroup(prompt, tuple(replies), first.id, first.source, first.group, meta)


class Dialogues(GitHubSource):
    """A file of questions, each with its dialogues, which are the rows."""

    def read(self, name: str, file: Path, view: str) -> Iterator[Record | LeftOut]:
        rows = (
            Row(dialogue.data | {"question": question.get("question_prompt", str)}, dialogue.file, 0)
            for question in iter_rows(file)
            for dialogue in question.nested("dialogues")
        )
        found = list(convert_rows(enumerate(rows, start=1), to_conversation, f"{name}:{file.stem}"))
        yield from (each for each in found if isinstance(each, LeftOut))
        talks = [talk for talk in found if isinstance(talk, Conversation)]
        if view != "conversation":
            yield from by_question(talks)
            return
        for talk in talks:
            yield talk if float(talk.meta["score"]) >= GOOD else LeftOut(f"a score below {GOOD:g}", talk.id)


SOURCE = Dialogues(
    folder="convolearn",
    repository="ahblay/socratic-tutor-eval",
    revision="7bd74eed6b6d3e3b62f794adacd086a2159fdcc6",
    paths={"sampled_dialogues.json": "convolearn/results/sampled_dialogues.json"},
    conversation=to_conversation,
    preference=to_conversation,  # a row is one dialogue in both views
    threshold=GOOD,
)
