"""Simulated students: what a reply does to them is the documented rule, and a tutor's numbers are counted by it."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from edu_align.evaluation.suite.asking import Asked
from edu_align.evaluation.suite.corpus import Posed, posed
from edu_align.evaluation.suite.data import Settings
from edu_align.evaluation.suite.prompts import Prompt
from edu_align.evaluation.suite.reply_text import addresses
from edu_align.evaluation.suite.student import CELL, Executed, Played, _rules, played, script
from edu_align.evaluation.suite.student import student as student_metric
from edu_align.evaluation.suite.summarise import summarise
from edu_align.evaluation.suite.talks import TURNS, Talk, Try, saying, talks, talks_metric
from edu_align.records import Message
from edu_align.tutoring.dialogue import next_try
from edu_align.tutoring.replies import KINDS, reply
from tests.evaluation.suite.subjects import ReadingSubject

META = {
    "answer": "81", "wrong_answer": "71", "place": "the tens column, 4 + 3",
    "wrong_place": "the ones column, 7 + 4 = 11",
}  # fmt: skip
PROMPT = Prompt("one", "g", "mathdial", (Message("user", "What is 47 + 34? I got 71."),), gold="81")


@pytest.fixture(scope="module")
def students() -> list[Posed]:
    return posed(CELL, "test", [], 30)


@pytest.mark.parametrize(
    ("text", "helps"),
    [
        ("The mistake is in the tens column, 4 + 3.", True),
        ("What do you get in the tens column when you add 4 and 3?", True),
        ("In the tens column you have 4 and 3.", False),
        ("What is 7 + 4 in the ones column, and 4 + 3 in the tens column?", False),
        ("You should carry. What is carrying?", False),
        ("Please recheck your work.", False),
    ],
)
def test_what_helps_the_executed_student(text: str, helps: bool) -> None:
    assert addresses(text, META) is helps


def test_the_corpus_own_replies_do_what_they_promise(students: list[Posed]) -> None:
    cases = {one.prompt.item: one.case for one in students}
    prompts = [one.prompt for one in students]
    pupil = Executed({one.prompt.item: one for one in students})
    found = {}
    for kind in KINDS:
        tutor = saying(lambda one, kind=kind: reply(cases[one.item], kind, "test", Random(one.item)).text)  # type: ignore[misc]
        found[kind] = talks(prompts, tutor, pupil)
    for kind in ("guiding", "hinting", "locating"):
        assert {(talk.right, talk.told, talk.used) for talk in found[kind]} == {(True, False, 1)}
    assert {(talk.right, talk.told) for talk in found["telling"]} == {(True, True)}
    for kind in ("vague", "misdiagnosing"):
        assert {(talk.right, talk.used) for talk in found[kind]} == {(False, TURNS)}
    assert {(talk.right, talk.used) for talk in found["agreeing"]} == {(False, 1)}, "they leave"
    assert talks(prompts, saying(lambda one: ""), pupil)[0].used == 1


def test_the_next_try_is_the_executed_work(students: list[Posed]) -> None:
    one = students[0]
    again, right = (next_try(one.case, made, "test", Random(3)) for made in (False, True))
    assert one.case.work[0].rstrip(".") in again
    assert one.case.wrong_answer in again
    assert one.case.answer in right


def test_talks_go_on_together_and_end_apart() -> None:
    prompts = [replace(PROMPT, item=name) for name in ("a", "b", "c")]
    asked: list[list[str]] = []

    def tutor(found: Sequence[Talk]) -> list[str]:
        asked.append([talk.item for talk in found])
        return ["" if talk.item == "c" else f"turn {talk.used + 1}" for talk in found]

    def pupil(found: Sequence[Talk]) -> list[Try]:
        return [Try("81", talk.item == "a" and talk.used == 2, told=talk.used == 1) for talk in found]

    found = {talk.item: talk for talk in talks(prompts, tutor, pupil)}
    assert asked == [["a", "b", "c"], ["a", "b"], ["b"], ["b"]]
    assert {name: (talk.used, talk.right, talk.told) for name, talk in found.items()} == {
        "a": (2, True, True), "b": (4, False, True), "c": (1, False, False),
    }  # fmt: skip
    result = talks_metric("student", "", [*found.values()], {"constant reply": [*found.values()]})
    shares = {name: sum(series.values) for name, series in result.measured.items()}
    assert shares == {"student_found": 0, "student_right": 1, "student_told": 2, "student_turns": 7}
    assert [turn["content"] for turn in result.examples[0]["talk"][1:]].count("81") in (0, 2, 4)


def test_a_tutor_that_learns_to_point_beats_the_constant_reply() -> None:
    """Measured through the metric itself: the subject names every student's first step, whatever it is."""
    settings = Settings(max_groups=15)
    nothing = ReadingSubject(reply=lambda prompt: "Please recheck your work.")
    telling = ReadingSubject(reply=lambda prompt: "There is a mistake in it: " + prompt[-1].content)
    data: Any = NoData()
    results = {name: {"student": student_metric(one, data, settings)} for name, one in
               (("base", nothing), ("SFT", telling))}  # fmt: skip
    rows = {(row["name"], row["label"]): row for row in summarise(results, seed=0, samples=50)}
    assert rows["student_found", "base"]["value"] == 0
    assert rows["student_turns", "base"]["value"] == TURNS
    assert set(rows["student_found", "base"]["baselines"]) == {"constant reply", "told answer", "copy of the student"}
    assert rows["student_right", "SFT"]["baselines"]["told answer"]["value"] == 1
    assert rows["student_found", "SFT"]["n"] <= 15
    assert rows["student_found", "SFT"]["difference_to_base"]["value"] >= 0


class NoData:
    """Data of a run on nothing of its own."""

    own_training: tuple[Any, ...] = ()


def test_the_played_student_is_read_by_its_final_number() -> None:
    talk = Talk(PROMPT, PROMPT.turns).heard("Look at the tens.")
    assert played(talk, "So 4 + 3 + 1 = 8. The answer is 81.") == Try("So 4 + 3 + 1 = 8. The answer is 81.", True)
    assert not played(talk, "I had 81 before, but the answer is 71.").right
    told = Talk(PROMPT, PROMPT.turns).heard("It is 81.")
    assert played(told, "Why?") == Try("Why?", False, told=True)
    said_before = replace(talk, turns=(Message("user", "Is it 81?"), Message("assistant", "Yes, 81.")))
    assert not played(said_before, "81").told
    text = script(talk.turns)
    assert text.index("Student: What is 47") < text.index("Tutor: Look at") < text.rindex("Student:")


def test_the_base_model_plays_every_students_part() -> None:
    heard: list[str] = []

    def answer(prompt: Sequence[Message]) -> str:
        heard.append(prompt[0].content)
        return "The answer is 81." if "tens" in prompt[0].content else "I got 71."

    pupil = Played(ReadingSubject(base_reply=answer), 80)
    rules = _rules([PROMPT], pupil, {PROMPT.item: "81"})
    assert [len(heard), rules["told answer"][0].told, rules["constant reply"][0].right] == [8, True, False]
    (talk,) = talks([PROMPT], saying(lambda one: "Look at the tens."), pupil)
    assert (talk.right, talk.used) == (True, 1)


def test_what_is_foreseen_is_the_first_turn_alone() -> None:
    """A metric that is run to find out what it asks hears nothing, and asks about no dialogue that will not be."""
    asked = Asked(ReadingModel())  # type: ignore[arg-type]
    student_metric(asked, NoData(), Settings(max_groups=4))  # type: ignore[arg-type]
    (prompts,) = asked.prompts.values()
    assert len(prompts) <= 4
    assert {turns[-1].role for turns, _ in prompts} == {"user"}


class ReadingModel:
    """A model of which only replies are asked."""

    label, tokenizer, reference, first = "base", None, None, None

    def replies(self, prompts: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
        assert not prompts
        return []
