"""What the judge reads, and which of its answers count."""

import json

import pytest

from edu_align.evaluation.judge.rubric import DIMENSIONS, parse, question
from edu_align.records import Message

GOOD = {"A": dict.fromkeys(DIMENSIONS, "Yes"), "B": dict.fromkeys(DIMENSIONS, "No"), "better": "A"}


def test_an_answer_is_read_alone_or_in_a_fence() -> None:
    text = json.dumps(GOOD)
    for answer in (text, f" {text}\n", f"```json\n{text}\n```", f"```\n{text}\n```"):
        found = parse(answer)
        assert found is not None
        assert (found.better, found.first["actionability"], found.second["actionability"]) == ("A", "Yes", "No")


@pytest.mark.parametrize(
    "answer",
    [
        "", "null", "[]", "A", json.dumps(GOOD)[:-1], f"Sure! {json.dumps(GOOD)}", json.dumps({**GOOD, "better": "a"}),
        json.dumps({**GOOD, "better": None}), json.dumps({**GOOD, "why": "it asks"}), json.dumps({**GOOD, "A": "Yes"}),
        json.dumps({"A": GOOD["A"], "B": GOOD["B"]}), json.dumps({**GOOD, "A": {**dict.fromkeys(DIMENSIONS, 2)}}),
        json.dumps({**GOOD, "A": dict.fromkeys(DIMENSIONS, "yes")}), json.dumps({**GOOD, "A": {}}),
        json.dumps({**GOOD, "A": dict.fromkeys(DIMENSIONS, "To some extent")}),  # not a label of revealing_answer
        json.dumps(GOOD)[:-1] + ', "better": "B"}', json.dumps({**GOOD, "better": ["A"]}),
    ],
)  # fmt: skip
def test_anything_else_is_no_answer(answer: str) -> None:
    assert parse(answer) is None


def test_the_question_holds_the_dialogue_and_both_replies() -> None:
    turns = (Message("system", "secret"), Message("user", "1 + 1 = 3"), Message("assistant", "Hm?"))
    text = question(turns, "2", "first", "second")[1]["content"]
    assert "Student: 1 + 1 = 3\nTutor: Hm?" in text
    places = [text.index(part) for part in ("<correct_final_answer>\n2\n", "<reply_a>\nfirst\n", "<reply_b>\nsecond")]
    assert places == sorted(places)
    assert "secret" not in text
    assert "correct_final_answer" not in question(turns, "", "first", "second")[1]["content"]
