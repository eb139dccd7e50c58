"""Bridge (Wang et al. 2024, arXiv 2310.10648): novice tutors' replies and an expert's rewrite of each."""

import re
from collections.abc import Sequence

from edu_align.data.download import GitHubSource
from edu_align.data.questions import LESSON_OPENING, Turn, clean, merge_turns, session_key, to_messages
from edu_align.data.readers import Row
from edu_align.records import Response, ResponseGroup

# Bridge has no scores. These put its pairs on MRBench's scale of 0 to 8, near the mean that people gave there to the
# same two kinds of author (experts 6.4, novices 2.25), so that one `dataset.margin` serves both sources.
EXPERT_SCORE, NOVICE_SCORE = 6.0, 2.0

# The error field names one of six kinds of error; where there was none, teachers wrote so in their own words.
_NO_MISTAKE = re.compile(
    r"\bno\b.{0,20}\b(mistake|error)|\b(not|n't|never)\b.{0,30}\b(mistake|error|wrong|incorrect)"
    r"|n't (seem|look|make|made).{0,40}\b(mistake|error)|\bcorrect answer|\bis (correct|right)\b",
    re.IGNORECASE | re.DOTALL,
)
_SESSION_END = re.compile(
    r"\bend(s|ed|ing)?\b.{0,15}\bsession|\bgoodbye\b|\bfeedback form|\bunresponsive|\bstop(s|ped)? respond|"
    r"\bonline interface\b",
    re.IGNORECASE,
)
_PICTURE = re.compile(r"\bvisual aid|\bprovided a resource|https?://|data:image|base64|<img\b", re.IGNORECASE)
_LONG_WORD = re.compile(r"\S{200,}")  # encoded data; no sentence has a word of 200 characters
_STANDARD = re.compile(r"^[A-Z0-9]+(\.[A-Z0-9]+)*\.(?=[A-Za-z])")


def to_group(row: Row, record_id: str) -> ResponseGroup | str:
    """The expert's reply (score 6) over the novice's (score 2), or the reason why the row cannot be used.

        {"c_id": "1234567_19", "lesson_topic": "3.6D.Areas", "e": "guess", "z_what": "ask_question", ...,
         "c_h":  [{"user": "tutor", "text": "What is 4 x 3?"}, {"user": "student", "text": "7"}],
         "c_r":  [{"user": "tutor", "text": "That is wrong."}, {"user": "tutor", "text": "It is 12."}],
         "c_r_": [{"user": "tutor", "text": "How many rows of 3 do you see?"}]}
        ->
        prompt     user       Let us go on with our lesson on Areas.
                   assistant  What is 4 x 3?
                   user       7
        responses  6.0  How many rows of 3 do you see?   (Expert)
                   2.0  That is wrong. It is 12.         (Novice)

    Rows in which the student made no mistake or the session ends, and rows that rest on a picture or a link, are
    left out. Raises UserError for a missing column or a value of another type.
    """
    note = f"{row.get('e', str)}\n{row.get('z_what', str)}"
    history = [("assistant" if user == "tutor" else "user", text) for user, text in _turns(row, "c_h")]
    novice, expert = (
        " ".join(cleaned for _, text in _turns(row, column) if (cleaned := clean(text))) for column in ("c_r", "c_r_")
    )
    everything = [note, novice, expert, *(text for _, text in history)]
    if _NO_MISTAKE.search(note):
        return "the student made no mistake"
    if _SESSION_END.search(note):
        return "the session ends"
    if any(_PICTURE.search(text) or _LONG_WORD.search(text) for text in everything):
        return "rests on a picture or a link"
    if not novice or not expert:
        return "empty reply"
    if novice == expert:
        return "identical replies"
    topic = _STANDARD.sub("", clean(row.get("lesson_topic", str)))
    prompt = _prompt(history, topic)
    if prompt[-1][0] != "user":
        return "history does not end with the student"
    replies = (Response(expert, EXPERT_SCORE, author="Expert"), Response(novice, NOVICE_SCORE, author="Novice"))
    session = session_key(row.get("c_id", str).split("_")[0])
    meta = {"topic": topic, "error": clean(row.get("e", str)), "strategy": clean(row.get("z_what", str))}
    return ResponseGroup(to_messages(prompt, train=False), replies, record_id, "bridge", session, meta)


def _turns(row: Row, column: str) -> list[Turn]:
    return [(message.get("user", str), message.get("text", str)) for message in row.nested(column)]


def _prompt(history: Sequence[Turn], topic: str) -> list[Turn]:
    """The history, opened by the student: chat templates want a user turn first, and the topic is known there."""
    lead = f"{LESSON_OPENING} on {topic}." if topic else f"{LESSON_OPENING}."
    return merge_turns([("user", lead), *history])


SOURCE = GitHubSource(
    folder="bridge",
    repository="rosewang2008/bridge",
    revision="37290e867f193dc5bb9d77ca2a2469980b78fc3c",
    paths={f"{part}.json": f"dataset/{part}.json" for part in ("train", "validation", "test")},
    preference=to_group,
    threshold=4.0,  # between the expert's 6 and the novice's 2
)
