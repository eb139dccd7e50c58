"""MRBench (Maurya et al. 2025, arXiv 2412.09416): tutor replies to a mistake, annotated by people.

Two published shapes: the development set of the BEA 2025 shared task (`tutor_responses`) and version 2
(`anno_llm_responses`, with the worked solution and more dimensions).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edu_align.data.download import BRANCH, GitHubSource
from edu_align.data.questions import (
    LESSON_OPENING,
    Turn,
    clean,
    final_number,
    merge_turns,
    opening,
    problem_key,
    session_key,
    to_messages,
)
from edu_align.data.readers import Row, brief
from edu_align.data.rows.words import LeftOut
from edu_align.data.sources.source import Part, Query
from edu_align.records import Record, Response, ResponseGroup, unfit_authors
from edu_align.utils.errors import UserError

POINTS = {"Yes": 2.0, "To some extent": 1.0, "No": 0.0}
DIMENSIONS = ("Mistake_Identification", "Mistake_Location", "Providing_Guidance", "Actionability")
SCORED = tuple(name.lower() for name in DIMENSIONS)  # as they stand in `Response.scores`
LEAK = "Yes (and the answer is correct)"

_TURN = re.compile(r"(?:^|\n)[^\S\n]*(Tutor|Teacher|Student)\s*:", re.IGNORECASE)
_REQUEST = re.compile(r".*?\bthe question is:", re.IGNORECASE | re.DOTALL)
_BRIDGE_ID = re.compile(r"(\d{7})\d+(_\d+)?")  # Bridge's c_id without the underscore, at times with a copy number
_LABEL = re.compile(r"^(?:tutor|teacher)(?: response)?\s*:\s*", re.IGNORECASE)
_PREAMBLE = re.compile(
    r"^here(?:'s| is) (?:a|an|the|one)\b[^\n:\"]{0,120}\bresponse\b[^\n:\"]{0,120}:\s*", re.IGNORECASE
)
_WRITTEN_BREAK = re.compile(r"\\n(?![a-z])")  # a backslash and an n, unless it starts a LaTeX command
_QUOTES = (('"', '"'), ("“", "”"))


def to_group(row: Row, record_id: str) -> ResponseGroup | str:
    """A dialogue and its scored replies, or the reason why the row cannot be used.

        {"conversation_id": "12-ab...", "conversation_history": "Tutor: Hi, could you ...? The question is: 3 bags of
         4 nuts ...? \\n Student: 3 + 4 = 7\\n 7 \\n Tutor: How many in one bag? \\n Student: 4",
         "tutor_responses": {"GPT4": {"response": "\\"And in 3 bags?\\"", "annotation": {"Mistake_Location": "Yes",
         "Mistake_Identification": "Yes", "Providing_Guidance": "To some extent", "Actionability": "No"}}, ...}}
        ->
        prompt     user       3 bags of 4 nuts ...?   My solution: 3 + 4 = 7 / 7
                   assistant  How many in one bag?
                   user       4
        responses  5.0  And in 3 bags?  (GPT4; mistake_location 2.0, providing_guidance 1.0, ...)

    The score is the sum of the four dimensions, 0 to 8. The tutor's opening request disappears: its question, and
    the student's first solution, make the first user turn, as in MathDial. A dialogue of Bridge's that starts with
    the tutor is opened by a neutral user turn. `meta`: `gold_answer` where version 2 gives a worked solution, and
    `unfit_to_learn`, whose reply people marked as revealing the correct answer. Raises UserError for a missing
    column, a value of another type or an unknown label.
    """
    problem, turns = read_history(row.get("conversation_history", str))
    if not turns or turns[-1][0] != "user":
        return "history does not end with the student"
    conversation = row.get("conversation_id", str)
    bridge = _BRIDGE_ID.fullmatch(conversation)
    if problem:
        group = problem_key(problem)
    elif bridge:
        group = session_key(bridge[1])
    else:
        return "neither a maths problem nor a Bridge session"
    column = "anno_llm_responses" if "anno_llm_responses" in row.data else "tutor_responses"
    replies, leaking = _replies(row, column)
    if len(replies) < 2:
        return "fewer than two replies"
    meta = {"problem": problem, "origin": "bridge" if not problem else "mathdial", "conversation_id": conversation}
    meta |= {"unfit_to_learn": ",".join(leaking)} if leaking else {}
    meta |= gold_of(row)
    return ResponseGroup(to_messages(turns, train=False), tuple(replies), record_id, "mrbench", group, meta)


def gold_of(row: Row) -> dict[str, str]:
    """`{"gold_answer": ...}` from version 2's worked solution, empty where there is none."""
    solution = row.data.get("Ground_Truth_Solution")
    gold = final_number(solution) if isinstance(solution, str) else ""
    return {"gold_answer": gold} if gold else {}


def merge_versions(devset: Sequence[ResponseGroup], v2: Sequence[ResponseGroup]) -> tuple[list[ResponseGroup], int]:
    """The development set, enriched, plus version 2's dialogues that are not in it; and how many were in it.

    A dialogue is known by its cleaned prompt. Version 2 adds the gold answer, and who leaks it, where the reply of
    that author is the same text.
    """
    known = {group.prompt: group for group in v2}
    merged = [_enriched(group, known[group.prompt]) if group.prompt in known else group for group in devset]
    present = {group.prompt for group in devset}
    added = [group for group in v2 if group.prompt not in present]
    return merged + added, len(v2) - len(added)


def _enriched(group: ResponseGroup, other: ResponseGroup) -> ResponseGroup:
    texts = {response.author: response.text for response in other.responses}
    marked = unfit_authors(other.meta)
    leaking = [r.author for r in group.responses if r.author in marked and texts.get(r.author) == r.text]
    meta = group.meta | ({"unfit_to_learn": ",".join(leaking)} if leaking else {})
    meta |= {"gold_answer": other.meta["gold_answer"]} if "gold_answer" in other.meta else {}
    return replace(group, meta=meta)


def read_history(history: str) -> tuple[str, list[Turn]]:
    """The maths problem ("" where none is stated) and the merged turns, the first of which is the user's.

    A turn starts at a line with `Tutor:` or `Student:`; other lines belong to the turn above them. Every dialogue of
    the data set ends with the student; a few of MathDial's label that turn `Tutor:` although it is the student's
    explanation ("Then I added ..."), and it is read as the student's.
    """
    parts = _TURN.split(clean(history))
    spoken = [
        ("user" if who.lower() == "student" else "assistant", said)
        for who, said in zip(parts[1::2], parts[2::2], strict=True)
    ]
    if len(spoken) > 1 and _REQUEST.match(spoken[0][1]):
        spoken[-1] = ("user", spoken[-1][1])
    turns = merge_turns(spoken)
    if turns and turns[0][0] == "assistant" and (request := _REQUEST.match(turns[0][1])):
        problem = clean(turns[0][1][request.end() :])
        work = turns[1][1] if len(turns) > 1 else ""
        return problem, [("user", opening(problem, work)), *turns[2:]]
    if turns and turns[0][0] == "assistant":
        return "", [("user", f"{LESSON_OPENING}."), *turns]
    return "", turns


def clean_reply(text: str) -> str:
    """A reply without the marks that give its author away: labels, preambles, outer quotes, odd spaces.

    'Here is a possible response:\\n\\n"Tutor: Look at step 2."' -> 'Look at step 2.'
    """
    text = clean(_WRITTEN_BREAK.sub("\n", text))
    before = None
    while text != before:
        before = text
        text = _LABEL.sub("", _PREAMBLE.sub("", text)).strip()
        text = _unquoted(text)
    return text


def _unquoted(text: str) -> str:
    """Without quotes around the whole, or a single one left over at either end."""
    for left, right in _QUOTES:
        inner = text[1:-1]
        if len(text) > 1 and text[0] == left and text[-1] == right and left not in inner and right not in inner:
            return inner.strip()
    return text.strip('"').strip() if text.count('"') == 1 else text


def _replies(row: Row, column: str) -> tuple[list[Response], list[str]]:
    """The replies that say something, and the authors whose reply reveals the correct answer."""
    replies, leaking = [], []
    answers = row.child(column)
    for author in answers.data:
        answer = answers.child(author)
        labels = answer.child("annotation")
        text = clean_reply(answer.get("response", str))
        scores = {name.lower(): _points(labels, name) for name in DIMENSIONS}
        if not text:
            continue
        replies.append(Response(text, sum(scores.values()), scores, author))
        if labels.data.get("Revealing_of_the_Answer") == LEAK:
            leaking.append(author)
    return replies, leaking


def _points(labels: Row, name: str) -> float:
    label = labels.get(name, str)
    if label not in POINTS:
        raise UserError(f"{labels.place}: `{name}` must be one of {', '.join(POINTS)}, got {brief(label)}.")
    return POINTS[label]


@dataclass(frozen=True, kw_only=True)
class BothVersions(GitHubSource):
    """The development set, and what version 2 adds to it."""

    def open(self, name: str, query: Query) -> list[Part]:
        files = self.files(name, query)
        return [Part(self._merged(name, files, query.view), tuple(map(str, files)))]

    def _merged(self, name: str, files: Sequence[Path], view: str) -> Iterator[Record | LeftOut]:
        groups: dict[str, list[ResponseGroup]] = {"devset": [], "v2": []}
        for file in files:
            for record in self.read(name, file, view):
                if isinstance(record, ResponseGroup):
                    groups[file.stem].append(record)
                else:
                    yield record
        merged, known = merge_versions(groups["devset"], groups["v2"])
        yield from merged
        yield from [LeftOut("in the development set already")] * known


SOURCE = BothVersions(
    folder="mrbench",
    repository="kaushal0494/UnifyingAITutorEvaluation",
    revision=BRANCH,
    paths={"devset.json": "BEA_Shared_Task_2025_Datasets/mrbench_v3_devset.json", "v2.json": "MRBench/MRBench_V2.json"},
    preference=to_group,
    threshold=7.0,  # nearest to half of its replies
    dimension_threshold=2.0,
)
