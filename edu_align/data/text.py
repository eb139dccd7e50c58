"""Cleaning of dialogue text, and the keys that decide which records belong to one group."""

import re
from collections.abc import Iterable, Sequence

from edu_align.data.questions import is_greeting, normalise
from edu_align.records import Message
from edu_align.utils.hashing import sha256

Turn = tuple[str, str]  # (role, text)

# First user turn of a dialogue whose record starts in the middle of a lesson, with the tutor speaking.
LESSON_OPENING = "Let us go on with our lesson"

_SPACES = re.compile(r"[^\S\n]+")


def clean(text: str) -> str:
    """Non-breaking and repeated spaces become one space, lines lose their outer spaces; line breaks stay."""
    lines = (_SPACES.sub(" ", line).strip() for line in text.replace("\r\n", "\n").split("\n"))
    return "\n".join(lines).strip()


def _digest(text: str) -> str:
    # Text of which nothing counts is compared as it is: "?!" must not equal every other one.
    return sha256(normalise(text) or text)[:24]


def problem_key(problem: str) -> str:
    """Group key of a maths problem: the same question gives the same key in every source."""
    return "problem:" + _digest(problem)


def question_key(messages: Iterable[Message]) -> str:
    """Group key of a dialogue: that of the first thing its user asks; behind an opening that we added, of the tutor's.

    A turn that only says hello asks nothing. Where there is nothing else, it is the key of all that is said.
    """
    spoken = [message for message in messages if message.role != "system"]
    said = [message for message in spoken if not message.content.startswith(LESSON_OPENING)]
    asking = said if len(said) < len(spoken) else [message for message in said if message.role == "user"]
    first = next((message.content for message in asking if not is_greeting(message.content)), None)
    return problem_key(first if first is not None else " ".join(message.content for message in said))


def session_key(session: str) -> str:
    """Group key of a Bridge tutoring session: the part of `c_id` before the underscore."""
    return "session:" + session


def history_key(messages: Iterable[Message]) -> str | None:
    """Key of a dialogue history; None for one in which nothing but hello was said.

    An opening turn that we added does not count. The key sorts behind `problem:` and `session:`, so that the smallest
    key of a group, and with it the side of the split, does not depend on which other sources are loaded.
    """
    texts = [m.content for m in messages if m.role != "system" and not m.content.startswith(LESSON_OPENING)]
    return None if all(map(is_greeting, texts)) else "text:" + _digest(" ".join(texts))


def merge_turns(turns: Iterable[Turn], joint: str = " ") -> list[Turn]:
    """Join neighbouring turns of one role; empty turns and repeats within such a run go.

    [("user", "6"), ("user", "6"), ("user", "no, 8"), ("assistant", "Why?")]
    -> [("user", "6 no, 8"), ("assistant", "Why?")]
    """
    runs: list[tuple[str, list[str]]] = []
    for role, raw in turns:
        text = clean(raw)
        if not text:
            continue
        if not runs or runs[-1][0] != role:
            runs.append((role, []))
        if text not in runs[-1][1]:
            runs[-1][1].append(text)
    return [(role, joint.join(texts)) for role, texts in runs]


def opening(problem: str, work: str = "") -> str:
    """The student's first turn: the problem, and below it the work that the tutor has before them."""
    problem, work = clean(problem), clean(work)
    return f"{problem}\n\nMy solution:\n{work}" if work else problem


def to_messages(turns: Sequence[Turn], train: bool) -> tuple[Message, ...]:
    """Turns as messages; `train` marks every assistant turn."""
    return tuple(Message(role, text, train=train and role == "assistant") for role, text in turns)


def final_number(solution: str) -> str:
    """The last number of a worked solution without thousands separators ("... = $1,500" -> "1500"), else ""."""
    numbers = re.findall(r"-?\d[\d,]*(?:\.\d+)?", solution)
    return numbers[-1].replace(",", "") if numbers else ""
