"""The user's own file: shapes, mapped columns, reasons and errors."""

import json
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.schema import DatasetConfig
from edu_align.data.dataset import load_records
from edu_align.data.readers import Row
from edu_align.data.sources.local import choose_format, rename, to_record
from edu_align.records import Conversation, ResponseGroup
from edu_align.utils.errors import UserError

ASK, TELL = {"role": "user", "content": "2 + 3?"}, {"role": "assistant", "content": "What is 2 + 2?"}
HUMAN, GPT = {"from": "human", "value": "2 + 3?"}, {"from": "gpt", "value": "What is 2 + 2?"}


def read(data: dict[str, Any], view: str = "conversation", wanted: str = "auto", **columns: str) -> Any:
    row = rename(Row(data, "mine.jsonl", 5), columns)
    return to_record(row, choose_format(row, wanted, view))


@pytest.mark.parametrize(
    "data",
    [
        {"messages": [ASK, TELL]}, {"conversations": [HUMAN, GPT]}, {"messages": json.dumps([ASK, TELL])},
        {"chosen": [ASK, TELL], "rejected": [ASK], "messages": [ASK, TELL], "prompt": "2 + 3?"},
    ],
    ids=["messages", "sharegpt", "json in a cell", "messages beside preferences"],
)  # fmt: skip
def test_conversations(data: dict[str, Any]) -> None:
    record = read(data)
    assert isinstance(record, Conversation)
    expected = [("user", "2 + 3?", False), ("assistant", "What is 2 + 2?", True)]
    assert [(m.role, m.content, m.train) for m in record.messages] == expected


def test_loss_decides_what_is_trained() -> None:
    turns = [HUMAN | {"loss": None}, GPT | {"loss": False}, HUMAN, GPT | {"loss": True}]
    record = read({"conversations": turns})
    assert [m.train for m in record.messages] == [False, False, False, True]


CONTEXT = {"prompt": [ASK, TELL, {"role": "user", "content": "4"}]}


@pytest.mark.parametrize(
    ("data", "turns"),
    [
        ({"prompt": "2 + 3?", "chosen": "good", "rejected": "bad"}, 1),
        (CONTEXT | {"chosen": [{"role": "assistant", "content": "good"}], "rejected": "bad"}, 3),
        ({"conversations": [HUMAN], "chosen": GPT | {"value": "good"}, "rejected": GPT | {"value": "bad"}}, 1),
        ({"prompt": "x", "chosen": [ASK, TELL | {"content": "good"}], "rejected": [ASK, TELL | {"content": "bad"}]}, 1),
        ({"prompt": "2 + 3?", "responses": [{"text": "bad", "score": 0}, {"response": "good", "score": 1.0}]}, 1),
        ({"prompt": "2 + 3?", "responses": ["bad", "good"], "scores": [0, 1]}, 1),
        ({"prompt": "2 + 3?", "responses": '["bad", "good"]', "scores": "[0, 1]"}, 1),
    ],
    ids=["text", "messages", "sharegpt ranking", "whole dialogues", "objects", "parallel lists", "csv cells"],
)
def test_preferences(data: dict[str, Any], turns: int) -> None:
    record = read(data, "preference")
    assert isinstance(record, ResponseGroup)
    assert len(record.prompt) == turns
    assert record.prompt[0].content == "2 + 3?"
    assert {r.text: r.score for r in record.responses} == {"good": 1.0, "bad": 0.0}


def test_text_that_looks_like_json_stays_text() -> None:
    record = read({"prompt": "[1, 2] or {a}?", "chosen": '{"a": 1}', "rejected": "[2]"}, "preference")
    assert record.prompt[0].content == "[1, 2] or {a}?"
    assert [r.text for r in record.responses] == ['{"a": 1}', "[2]"]


def test_mapped_columns() -> None:
    data = {"question": "2 + 3?", "good": "a", "bad": "b", "topic": "t1", "split": "dev", "part": "test"}
    record = read(data, "preference", prompt="question", chosen="good", rejected="bad", group="topic", split="part")
    assert (record.group, record.meta) == ("local:t1", {"split": "test"})
    unmapped = read(data, "preference", prompt="question", chosen="good", rejected="bad")
    assert unmapped.meta == {}
    assert unmapped.group.startswith("problem:")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"messages": []}, "no turns"), ({"messages": [ASK]}, "user turns only"),
        ({"messages": [ASK, TELL | {"content": " "}]}, "empty turn"),
        ({"messages": [TELL, ASK]}, "turns do not alternate user, assistant"),
        ({"messages": [ASK, ASK, TELL]}, "turns do not alternate user, assistant"),
        ({"conversations": [HUMAN, GPT | {"loss": False}]}, "no turn to train on"),
        ({"prompt": "p", "chosen": " same", "rejected": "same"}, "identical replies"),
        ({"prompt": "p", "chosen": "a", "rejected": " "}, "empty reply"),
        ({"prompt": "p", "chosen": [], "rejected": "b"}, "empty reply"),
        ({"prompt": "", "chosen": "a", "rejected": "b"}, "empty turn"),
        ({"prompt": [ASK, TELL], "chosen": "a", "rejected": "b"}, "prompt does not end with a user turn"),
        ({"prompt": "p", "chosen": [ASK, TELL], "rejected": "b"}, "chosen and rejected continue different dialogues"),
        ({"prompt": "p", "chosen": [ASK], "rejected": "b"}, "a reply is not the assistant's"),
        ({"prompt": "p", "responses": [{"text": "a", "score": 1}]}, "fewer than two replies"),
    ],
)  # fmt: skip
def test_reasons(data: dict[str, Any], reason: str) -> None:
    assert read(data) == reason


@pytest.mark.parametrize(
    ("data", "words", "message"),
    [
        ({"query": "p", "answer": "a"}, {}, r"mine\.jsonl, row 5: no known shape has the columns query, answer"),
        ({"prompt": "p", "good": "a"}, {"choosen": "good"}, "'choosen' is none of our columns.*Did you mean `chosen`"),
        ({"prompt": "p", "good": "a"}, {"chosen": "goood"}, "no column `goood` .did you mean `good`"),
        ({"messages": [{"role": "asistant", "content": "a"}]}, {}, "got 'asistant'. Did you mean 'assistant'"),
        ({"messages": "hello"}, {}, "`messages` must be a list, got text 'hello'"),
        ({"messages": ["hello"]}, {}, r"`messages\[0\]` must be an object, got text"),
        ({"messages": [{"role": "user"}]}, {}, r"row 5, messages\[0\]: no column `content`"),
        ({"conversations": [HUMAN | {"loss": True}, GPT]}, {}, "`loss` must be .* got True"),
        ({"prompt": "p", "responses": [{"text": "a", "score": "5"}]}, {}, "`score` must be a finite number, got '5'"),
        ({"prompt": "p", "responses": ["a", "b"], "scores": [1]}, {}, "`scores` must be a list of 2 numbers"),
        ({"prompt": "p", "responses": ["a", "b"]}, {}, "no column `scores`"),
        ({"prompt": 3, "chosen": "a", "rejected": "b"}, {}, "`prompt` must be a list, got a number 3"),
        ({"chosen": "a"}, {"wanted": "preference"}, r"'preference' needs a column `rejected`; there are chosen\. Map"),
        ({"messages": [ASK, TELL]}, {"wanted": "message"}, r"got 'message'\. Did you mean 'messages'"),
    ],
)
def test_errors(data: dict[str, Any], words: dict[str, str], message: str) -> None:
    """A named format wants its columns; all other words map columns."""
    with pytest.raises(UserError, match=message):
        read(data, **words)


def load(folder: Path, rows: list[dict[str, Any]], view: str) -> Any:
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return load_records(DatasetConfig(name="local", sources=["local"], path=str(path)), None, folder, 0, view)


def test_a_whole_file(tmp_path: Path) -> None:
    rows = [{"prompt": f"What is {i} + 3?", "chosen": f"Try {i}", "rejected": "No."} for i in range(40)]
    rows += [rows[0], {"prompt": "p", "chosen": "a", "rejected": "a"}]
    data = load(tmp_path, rows, "preference")
    source = data.sources["local"]
    assert (source.read, source.kept) == (42, 40)
    assert source.dropped == {"identical replies": 1, "the same as an earlier record": 1}
    assert "format preference, by its columns" in data.describe()
    talks = load(tmp_path, rows, "conversation")
    assert talks.require("train")[0].messages[-1].content.startswith("Try")
    assert {name: len(part) for name, part in talks.splits.items()} == {n: len(p) for n, p in data.splits.items()}


def test_conversations_are_no_preferences(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"format 'messages' has conversations only.*edu_tutor, bridge, mrbench"):
        load(tmp_path, [{"messages": [ASK, TELL]}], "preference")
    with pytest.raises(UserError, match=r"`dataset\.path` must name your file"):
        load_records(DatasetConfig(name="local", sources=["local"]), None, tmp_path, 0, "conversation")
