"""MaE (Otero et al. 2024, github.com/nancyotero-projects/math-misconceptions): misconceptions, with examples.

Each misconception is described in one sentence, so the descriptions of one topic differ in the diagnosis only.
"""

import re
from collections.abc import Iterable, Iterator

from edu_align.data.questions import clean, problem_key
from edu_align.data.readers import Row
from edu_align.data.rows.words import LeftOut
from edu_align.data.sources.one_author import ComparedRows, right_and_wrong
from edu_align.records import Conversation, Message, Record, ResponseGroup
from edu_align.utils.hashing import sha256

AUTHOR = "MaE"
OTHERS = 3  # descriptions of other misconceptions that a right one is compared with
ASKED = "A student was asked: {}\n\nThe student answered: {}\n\nWhich misconception does the answer show?"
_WHEN = re.compile(r"when\s+", re.IGNORECASE)
_IMAGE = re.compile(r"\[[^\]]*image[^\]]*\]", re.IGNORECASE)


def to_conversation(row: Row, record_id: str) -> Conversation | str:
    """A wrong answer and the misconception that it shows, or the reason why the row cannot be used.

        {"Misconception": "when students add tops and bottoms", "Misconception ID": "MaE99", "Topic": "Fractions",
         "Question": "1/2 + 1/3 =", "Incorrect Answer": "2/5", "Correct Answer": "5/6", "Question image": "", ...}
        ->
        user       A student was asked: 1/2 + 1/3 =   The student answered: 2/5   Which misconception does it show?
        assistant  Students add tops and bottoms.  (trained)

    `meta`: `misconception` (its id), `topic`, `problem`, `gold_answer`. Rows that rest on a picture are left out.
    Raises UserError for a missing column or a value of another type.
    """
    question, wrong = clean(row.get("Question", str)), clean(row.get("Incorrect Answer", str))
    said = _WHEN.sub("", clean(row.get("Misconception", str)), count=1).rstrip(".")
    if not question or not wrong or not said:
        return "empty question, answer or misconception"
    images = ("Question image", "Learner Answer image")
    if any(clean(str(row.data.get(column, ""))) for column in images) or _IMAGE.search(question + wrong):
        return "rests on a picture"
    reply = Message("assistant", f"{said[0].upper()}{said[1:]}.", train=True)
    meta = {
        "problem": question,
        "gold_answer": clean(row.get("Correct Answer", str)),
        "misconception": row.get("Misconception ID", str),
        "topic": clean(row.get("Topic", str)),
    }
    prompt = Message("user", ASKED.format(question, wrong))
    return Conversation((prompt, reply), record_id, "mae", problem_key(question), meta)


def within_topics(talks: Iterable[Record | LeftOut]) -> Iterator[Record | LeftOut]:
    """Each misconception over OTHERS of the same topic, drawn by the hash of the row's id."""
    found = list(talks)
    topics: dict[str, dict[str, str]] = {}
    for talk in found:
        if isinstance(talk, Conversation):
            topics.setdefault(talk.meta["topic"], {})[talk.meta["misconception"]] = talk.messages[-1].content
    for talk in found:
        if not isinstance(talk, Conversation):
            yield talk
            continue
        own = talk.messages[-1].content
        others = {sha256(f"{talk.id}:{text}"): text for text in topics[talk.meta["topic"]].values() if text != own}
        drawn = [others[key] for key in sorted(others)[:OTHERS]]
        if not drawn:
            yield LeftOut("no other misconception of its topic", talk.id)
            continue
        replies = right_and_wrong(own, drawn, AUTHOR)
        yield ResponseGroup(talk.messages[:-1], replies, talk.id, talk.source, talk.group, talk.meta)


SOURCE = ComparedRows(
    folder="mae",
    repository="nancyotero-projects/math-misconceptions",
    revision="12bee142d49dfb3c874149035cfbad28547a818b",
    paths={"data.json": "data/data.json"},
    conversation=to_conversation,
    preference=to_conversation,  # a row is one example in both views
    compared=within_topics,
    threshold=4.0,  # between right and wrong
)
