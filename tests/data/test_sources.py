"""Rows of the public sources become records, or the reason why they cannot."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.data.readers import Row, read_rows
from edu_align.data.sources import bridge, gsm8k_socratic, mathdial, mrbench
from edu_align.records import Conversation, ResponseGroup
from edu_align.utils.errors import UserError

FIXTURES = Path(__file__).parent / "fixtures"
CONVERT: dict[str, Callable[[Row, str], Any]] = {
    "mathdial/test.jsonl": mathdial.to_conversation,
    "bridge/train.json": bridge.to_group,
    "mrbench/devset.json": mrbench.to_group,
    "mrbench/v2.json": mrbench.to_group,
    "gsm8k/train_socratic.jsonl": gsm8k_socratic.to_conversation,
}


def convert(file: str) -> list[Any]:
    return [CONVERT[file](row, f"id:{row.number}") for row in read_rows(FIXTURES / file)]


def spoken(record: Any) -> list[str]:
    """What is said, turn by turn, the student first."""
    turns = record.messages if isinstance(record, Conversation) else record.prompt
    assert [m.role for m in turns] == [("user", "assistant")[i % 2] for i in range(len(turns))]
    return [m.content for m in turns]


ASKED = "Ira has 3 bags with 4 pens each and gives away 2. How many pens are left?"
OPENING = f"{ASKED}\n\nMy solution:\n3 + 4 = 7, minus 2 is 5.\n5"


def edited(file: str, number: int, **changes: Any) -> Row:
    row = read_rows(FIXTURES / file)[number]
    return Row(json.loads(json.dumps(row.data)) | changes, "some.json", 7)


REASONS = {
    "mathdial/test.jsonl": {5: "no teacher turn", 7: "a turn without a speaker", 8: "empty problem"},
    "bridge/train.json": {
        4: "the student made no mistake", 5: "the session ends", 6: "rests on a picture or a link",
        7: "rests on a picture or a link", 8: "empty reply", 9: "identical replies",
    },
    "mrbench/devset.json": {
        3: "fewer than two replies", 8: "history does not end with the student",
        9: "neither a maths problem nor a Bridge session",
    },
    "gsm8k/train_socratic.jsonl": {8: "empty problem", 9: "no guiding question"},
}  # fmt: skip


@pytest.mark.parametrize("file", REASONS)
def test_reasons(file: str) -> None:
    assert {i: record for i, record in enumerate(convert(file)) if isinstance(record, str)} == REASONS[file]


def test_mathdial_dialogue() -> None:
    record = convert("mathdial/test.jsonl")[0]
    first = [OPENING, "Hi Ira, what did you do with the bags?", "I added 3 and 4.", "What does one bag hold?"]
    assert spoken(record) == [*first, "4 pens", "Then 3 bags hold 3 times as many."]
    assert [m.train for m in record.messages] == [False, True] * 3
    assert record.meta["gold_answer"] == "10"
    joined = convert("mathdial/test.jsonl")[4]  # where the student speaks first, that joins the opening
    assert joined.messages[0].content.endswith("My solution:\n7 + 8 = 15, minus 2 is 13.\n13\n\nIs it nine?")


@pytest.mark.parametrize(
    ("number", "turn", "text"),
    [
        (1, 3, "What does one bag hold?"), (2, 3, "What does one bag hold? Take your time."),
        (3, -1, "Then 6 bags hold 6 times as many."), (6, 3, "What does one bag hold?"),
    ],
    ids=["duplicated turn", "teacher twice", "student last", "empty turn"],
)  # fmt: skip
def test_mathdial_quirks(number: int, turn: int, text: str) -> None:
    record = convert("mathdial/test.jsonl")[number]
    assert record.messages[turn].content == text
    assert record.messages[turn].train
    assert len(spoken(record)) % 2 == 0


def test_mathdial_without_the_wrong_solution() -> None:
    """Its first teacher turn speaks of work that the prompt lacks: it is trained on only where it is all there is."""
    row = edited("mathdial/test.jsonl", 0, student_incorrect_solution="", question_from="match")
    record = mathdial.to_conversation(row, "x")
    assert isinstance(record, Conversation)
    assert [m.train for m in record.messages] == [False, False, False, True, False, True]
    assert record.messages[0].content == ASKED
    assert record.meta["question_from"] == "match"
    row.data["conversation"] = "Teacher: (generic)Hi, what did you do?|EOM|Student: I added."
    record = mathdial.to_conversation(row, "x")
    assert isinstance(record, Conversation)
    assert [m.train for m in record.messages] == [False, True]
    assert "question_from" not in convert("mathdial/test.jsonl")[0].meta


def test_bridge_pair() -> None:
    record = convert("bridge/train.json")[0]
    opening = "Let us go on with our lesson on Equal Groups."
    assert spoken(record) == [opening, "Here is the next one. What is 3 x 4?", "7"]
    assert [(r.score, r.author, r.text) for r in record.responses] == [
        (6.0, "Expert", "Nice start. Can you draw 3 groups of 4?"),
        (2.0, "Novice", "That is not right. The answer is 12."),
    ]
    assert record.group == "session:4000000"
    row = edited("bridge/train.json", 0)
    row.data["c_h"].append({"user": "tutor", "text": "Well?"})
    assert bridge.to_group(row, "x") == "history does not end with the student"


NONE = (
    "No mistake!", "no error", "The student didn't make a mistake.", "It doesn't seem like there is a mistake",
    "The student is not wrong", "Correct Answer", "Student is correct\n", "The student has not made an error yet",
)  # fmt: skip


@pytest.mark.parametrize(
    "note", [*NONE, "guess", "careless", "misinterpret", "imprecise", "right-idea", "a wrong sign, a mistake"]
)
def test_bridge_leaves_out_rows_without_a_mistake_in_any_spelling(note: str) -> None:
    found = bridge.to_group(edited("bridge/train.json", 0, e=note), "x")
    assert found == "the student made no mistake" if note in NONE else isinstance(found, ResponseGroup)


def test_mrbench_group() -> None:
    record = convert("mrbench/devset.json")[0]
    assert spoken(record) == [OPENING, "What does one bag hold?", "4 pens"]
    assert [(r.author, r.score, r.text) for r in record.responses] == [
        ("GPT4", 3.0, "It is 10, well tried."),
        ("Expert", 8.0, "And how many do 3 bags hold?"),
        ("Mistral", 4.0, "Look at bag number 0 again."),
        ("Phi3", 0.0, "Great job!"),
    ]
    assert record.responses[0].scores == {
        "mistake_identification": 2.0, "mistake_location": 0.0, "providing_guidance": 1.0, "actionability": 0.0,
    }  # fmt: skip
    assert record.group == convert("mathdial/test.jsonl")[0].group
    records = convert("mrbench/devset.json")
    assert records[7].group == "session:4000000" == convert("bridge/train.json")[0].group
    assert spoken(records[7]) == ["Let us go on with our lesson.", "Good morning. What is 10 x 11?", "21"]


def test_mrbench_wrong_label() -> None:
    records = convert("mrbench/devset.json")
    assert records[2].prompt[-1].role == "user"
    assert records[2].prompt[-1].content == "Then I took 2 away."
    assert [r.author for r in records[4].responses] == ["GPT4", "Expert", "Mistral"]
    row = edited("mrbench/devset.json", 0)
    row.data["tutor_responses"]["GPT4"]["annotation"]["Actionability"] = "Maybe"
    with pytest.raises(UserError, match=r"row 7, tutor_responses, GPT4, annotation: `Actionability` must be .*'Maybe'"):
        mrbench.to_group(row, "x")


def test_mrbench_versions_merge() -> None:
    devset, v2 = ([r for r in convert(f"mrbench/{name}.json") if not isinstance(r, str)] for name in ("devset", "v2"))
    merged, known = mrbench.merge_versions(devset, v2)
    assert (len(merged), known) == (len(devset) + 1, 2)
    assert merged[0].meta["gold_answer"] == "10"
    assert merged[0].meta["unfit_to_learn"] == "GPT4"
    assert "gold_answer" not in merged[2].meta
    assert merged[-1].prompt[-1].content.startswith("A shelf holds 1,200 books")
    assert merged[-1].meta["gold_answer"] == "300"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ('"Look again."', "Look again."), ("“Look again.”", "Look again."), ("Tutor: Look\u00a0again. ", "Look again."),
        ("Teacher response: Look again.", "Look again."),
        ('Here\'s a tutor response that fits:\\n\\n"Tutor: Look again."', "Look again."),
        ('Look again."', "Look again."), ('"Yes" is not "no"', '"Yes" is not "no"'),
        ('Say "look" again.', 'Say "look" again.'),
        ("Here is the number: 12. Your response?", "Here is the number: 12. Your response?"),
        ("5 \\neq 6", "5 \\neq 6"),
    ],
)  # fmt: skip
def test_clean_reply(raw: str, text: str) -> None:
    assert mrbench.clean_reply(raw) == text


def test_gsm8k_socratic_dialogue() -> None:
    record = convert("gsm8k/train_socratic.jsonl")[0]
    assert spoken(record) == [ASKED, "How many pens are there?", "There are 3*4=12 pens.", "How many are left?"]
    assert [m.train for m in record.messages] == [False, True] * 2
    assert record.meta["gold_answer"] == "10"
    assert "split" not in record.meta


@pytest.mark.parametrize("file", CONVERT)
def test_every_column_that_is_read_must_be_there(file: str) -> None:
    whole = read_rows(FIXTURES / file)[0]
    for column in {
        "mathdial": ("question", "student_incorrect_solution", "conversation", "ground_truth"),
        "bridge": ("e", "z_what", "c_h", "c_r", "c_r_", "c_id", "lesson_topic"),
        "mrbench": ("conversation_id", "conversation_history"),
        "gsm8k": ("question", "answer"),
    }[file.split("/")[0]]:
        row = Row({k: v for k, v in whole.data.items() if k != column}, "some.json", 3)
        with pytest.raises(UserError, match=rf"some\.json, row 3: no column `{column}`"):
            CONVERT[file](row, "x")
