"""OATutor (Pardos et al. 2023, github.com/CAHLR/OATutor-Content): problems with hand-written paths of hints.

Upstream keeps problems, steps and paths in thousands of files. What is read is one file a course, each line a step:
`{"problem": ..., "step": ..., "pathway": [...]}` with upstream's own objects.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from edu_align.data.download import DATA_ROOT_VARIABLE, GitHubSource
from edu_align.data.questions import Turn, clean, merge_turns, problem_key, to_messages
from edu_align.data.readers import Row
from edu_align.data.rows.words import LeftOut
from edu_align.data.sources.stepverify import texts
from edu_align.records import Conversation, Message, Record, Response, ResponseGroup
from edu_align.utils.errors import UserError

AUTHOR = "OATutor"
HINT_SCORE, TOLD_SCORE = 6.0, 2.0  # as far apart as Bridge's expert and novice
COURSES = (
    "university_physics", "college_physics", "elementary_algebra", "intermediate_algebra", "introductory_statistics",
)  # fmt: skip


def to_conversation(row: Row, record_id: str) -> Conversation | str:
    """A path of hints as a dialogue, or the reason why the row cannot be used.

        {"problem": {"title": "Multiply", "body": "Multiply:", ...}, "step": {"stepTitle": "$$4(x+3)$$", ...},
         "pathway": [{"type": "hint", "title": "Outside", "text": "Multiply each value by the outside one."},
                     {"type": "scaffold", "title": "First", "text": "What is $$4$$ times $$x$$?",
                      "hintAnswer": ["$$4x$$"]}, {"type": "scaffold", "title": "Then", "text": "And 4 times 3?", ...}]}
        ->
        user       Multiply. Multiply: $4(x+3)$
        assistant  Outside: Multiply each value by the outside one. First: What is $4$ times $x$?  (trained)
        user       $4x$
        assistant  Then: And 4 times 3?  (trained)

    A `hint` only tells and joins what follows; a `scaffold` asks, and its answer is the student's turn. The dialogue
    ends before the first item that holds the step's answer. Raises UserError for a missing column or a value of
    another type.
    """
    question, meta = _question(row)
    if not question:
        return "empty problem"
    turns: list[Turn] = [("user", question)]
    for item in row.nested("pathway"):
        if holds(item_text(item), meta["gold_answer"]):
            break
        turns.append(("assistant", item_text(item)))
        if item.get("type", str) == "scaffold":
            turns.append(("user", formula(" ".join(texts(item, "hintAnswer")[:1]))))
    dialogue = merge_turns(turns, joint="\n\n")
    while dialogue[-1][0] == "user" and len(dialogue) > 1:
        dialogue.pop()
    if len(dialogue) < 2:
        return "its first hint holds the answer"
    group = problem_key(meta["problem"])
    return Conversation(to_messages(dialogue, train=True), record_id, "oatutor", group, meta)


def to_group(row: Row, record_id: str) -> ResponseGroup | str:
    """The first hint over the last one, where that holds the answer, or over the bare answer; or why there is none.

    One author wrote both, and what the first one keeps back the other one gives away.
    """
    question, meta = _question(row)
    items = [text for item in row.nested("pathway") if (text := item_text(item))]
    answer = meta["gold_answer"]
    if not question or not items or not answer:
        return "empty problem, path or answer"
    first, last = items[0], items[-1]
    if holds(first, answer):
        return "its first hint holds the answer"
    told = last if holds(last, answer) else f"The answer is {answer}."
    replies = (Response(first, HINT_SCORE, author=AUTHOR), Response(told, TOLD_SCORE, author=AUTHOR))
    prompt = (Message("user", question),)
    return ResponseGroup(prompt, replies, record_id, "oatutor", problem_key(meta["problem"]), meta)


def formula(text: str) -> str:
    """Text with formulas between single dollar signs, as most tools write them."""
    return clean(text.replace("$$", "$"))


def item_text(item: Row) -> str:
    """An item of a path: its title, which carries content, its words and what may be chosen from."""
    title, text = formula(item.get("title", str)).rstrip(".:"), formula(item.get("text", str))
    whole = f"{title}: {text}" if title and text and title not in text else text or title
    return _with_choices(whole, item)


def holds(text: str, answer: str) -> bool:
    """Whether the answer stands in the text as a whole; spaces and dollar signs do not count."""
    signs = answer.replace("$", "").replace(" ", "")
    if not signs:
        return False
    pattern = r"(?<![\w.])" + r"\s*".join(map(re.escape, signs)) + r"(?![\w]|\.\d)"
    return bool(re.search(pattern, text.replace("$", ""), re.IGNORECASE))


def _question(row: Row) -> tuple[str, dict[str, str]]:
    """What the student is asked, "" where nothing is, and what is known of it."""
    problem, step = row.child("problem"), row.child("step")
    parts = ((problem, "title"), (problem, "body"), (step, "stepTitle"), (step, "stepBody"))
    title, *asked = (formula(part.get(column, str)) for part, column in parts)
    text = "\n".join(filter(None, (title, *asked))) if any(asked) else ""
    answers = texts(step, "stepAnswer")
    meta = {
        "problem": text,
        "gold_answer": formula(answers[0]) if answers else "",
        "problem_id": problem.get("id", str),
        "lesson": problem.get("lesson", str),
    }
    return _with_choices(text, step) if text else "", meta


def _with_choices(text: str, row: Row) -> str:
    choices = [formula(choice) for choice in texts(row, "choices")] if "choices" in row.data else []
    return f"{text}\nChoices: {' | '.join(choices)}" if choices else text


@dataclass(frozen=True, kw_only=True)
class Courses(GitHubSource):
    """Local files, one a course. All steps of one problem are one group, that of its first step's question."""

    def find(self, name: str, data_root: str | Path | None, outputs_root: str | Path) -> list[Path]:
        """Raises UserError where none of the files is there: joined as they are read, they have no public address."""
        found = self.local(data_root)
        if found:
            return found
        raise UserError(
            f"`dataset` source {name!r}: set `data_root` (or the variable {DATA_ROOT_VARIABLE}) to a folder that holds "
            f"{self.folder}/{COURSES[0]}.jsonl or another course. Each line joins three objects of {self.repository}'s "
            f"content-pool (commit {self.revision[:8]}): problem, step and pathway."
        )

    def read(self, name: str, file: Path, view: str) -> Iterator[Record | LeftOut]:
        first: dict[str, str] = {}
        for record in super().read(name, file, view):
            if isinstance(record, LeftOut):
                yield record
            else:
                group = first.setdefault(record.meta["problem_id"], record.group)
                yield replace(record, group=group)


SOURCE = Courses(
    folder="oatutor",
    repository="CAHLR/OATutor-Content",
    revision="c26295e063749a6f481fb2a3000d6b302e0d149b",
    paths={f"{course}.jsonl": "content-pool" for course in COURSES},
    conversation=to_conversation,
    preference=to_group,
    threshold=4.0,  # between hint and answer
)
