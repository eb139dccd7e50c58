"""The dialogue before the graded reply: a student shows work that holds a mistake."""

from collections.abc import Callable
from random import Random

from edu_align.records import Message
from edu_align.tutoring import phrasings_student as slots
from edu_align.tutoring.text import pick, sentence, sentences
from edu_align.tutoring.types import Case

# Each form is its turns (user first, then tutor and user by turns); a turn names the slots it holds, "/" starts a line.
FORMS = (
    "POSE / LEAD / WORK",
    "POSE / LEAD / WORK / CHECK",
    "POSE / WORK / RESULT",
    "POSE / WORK / CHECK",
    "CHAT POSE LEAD / WORK / CHECK",
    "CHAT POSE / RESULT LEAD / WORK",
    "POSE RESULT CHECK / LEAD / WORK",
    "HELP POSE | ASK_WORK | COMPLY / WORK",
    "CHAT HELP POSE | ASK_WORK | COMPLY / WORK / CHECK",
    "POSE RESULT | ASK_WORK | COMPLY / WORK",
    "HELP POSE | ASK_GOAL | GOAL LEAD / WORK / CHECK",
    "POSE | ASK_GOAL | GOAL | ASK_WORK | COMPLY / WORK / RESULT",
)

AGAIN = "LEAD / WORK / RESULT"  # the form of a student's next try


def _numbered(work: tuple[str, ...]) -> str:
    return "\n".join(f"Step {place}: {line}" for place, line in enumerate(work, start=1))


def _in_a_row(work: tuple[str, ...]) -> str:
    return "; ".join(line.removesuffix(".") for line in work)


# How a student writes the steps down.
STYLES: tuple[Callable[[tuple[str, ...]], str], ...] = ("\n".join, _in_a_row, sentences, _numbered)


def _turn(form: str, fill: Callable[[str], str]) -> str:
    lines = (" ".join(fill(slot) for slot in line.split()) for line in form.split(" / "))
    return "\n".join(lines)


def dialogue(case: Case, split: str, rng: Random) -> tuple[Message, ...]:
    """One to five turns (student = user, tutor = assistant) that end with the student's work, worded for `split`."""
    fill = _filling(case, case.work, case.wrong_answer, split, rng)
    turns = rng.choice(FORMS).split(" | ")
    roles = ("user", "assistant")
    return tuple(Message(roles[place % 2], _turn(turn, fill)) for place, turn in enumerate(turns))


def next_try(case: Case, right: bool, split: str, rng: Random) -> str:
    """The student's next turn on the same problem: its work again, as the misconception has it, or the right one."""
    work, result = (case.solution, case.answer) if right else (case.work, case.wrong_answer)
    return _turn(AGAIN, _filling(case, work, result, split, rng))


def _filling(case: Case, work: tuple[str, ...], result: str, split: str, rng: Random) -> Callable[[str], str]:
    """What a slot holds: the steps `work`, the final answer `result`, or a wording of `split`."""
    style = rng.choice(STYLES)
    values = {"question": sentence(case.question), "topic": case.topic, "wrong": result}

    def fill(slot: str) -> str:
        if slot == "WORK":
            return style(work)
        text = pick(getattr(slots, slot), split, rng).format(**values)
        return sentence(text) if slot == "GOAL" else text

    return fill
