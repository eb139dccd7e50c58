"""Cleaning of dialogue text, and the keys that decide which records belong to one group."""

import re
from collections.abc import Iterable, Sequence

from edu_align.records import Message
from edu_align.utils.hashing import sha256

Turn = tuple[str, str]  # (role, text)

# First user turn of a dialogue whose record starts in the middle of a lesson, with the tutor speaking.
LESSON_OPENING = "Let us go on with our lesson"

_SPACES = re.compile(r"[^\S\n]+")
_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")


def clean(text: str) -> str:
    """Non-breaking and repeated spaces become one space, lines lose their outer spaces; line breaks stay."""
    lines = (_SPACES.sub(" ", line).strip() for line in text.replace("\r\n", "\n").split("\n"))
    return "\n".join(lines).strip()


def normalise(text: str) -> str:
    """Lower case, ASCII letters and digits only, "teacher" read as "tutor" (MRBench renames MathDial's teachers)."""
    return _NOT_ALPHANUMERIC.sub("", text.lower().replace("teacher", "tutor"))


def _digest(text: str) -> str:
    # Text without a single ASCII letter or digit is compared as it is: "三加四" must not equal every other one.
    return sha256(normalise(text) or text)[:24]


def problem_key(problem: str) -> str:
    """Group key of a maths problem: the same question gives the same key in every source."""
    return "problem:" + _digest(problem)


def session_key(session: str) -> str:
    """Group key of a Bridge tutoring session: the part of `c_id` before the underscore."""
    return "session:" + session


def history_key(messages: Iterable[Message]) -> str:
    """Key of a dialogue history. An opening turn that we added does not count.

    It sorts behind `problem:` and `session:`, so that the smallest key of a group, and with it the side of the
    split, does not depend on which other sources are loaded.
    """
    texts = [m.content for m in messages if m.role != "system" and not m.content.startswith(LESSON_OPENING)]
    return "text:" + _digest(" ".join(texts))


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
