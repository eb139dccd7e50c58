"""Files of prompts in every shape, and rows that are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from edu_align.chatting.batch import Prompt, read_prompts
from edu_align.records import Message
from edu_align.utils.errors import UserError

ASK, TELL = {"role": "user", "content": "2 + 3?"}, {"role": "assistant", "content": "What is 2 + 2?"}
ASKED = (Message("user", "2 + 3?"),)


def written(folder: Path, name: str, content: str | bytes) -> Path:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


def jsonl(folder: Path, *rows: dict[str, Any]) -> Path:
    return written(folder, "prompts.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "2 + 3?"},
        {"prompt": [ASK]},
        {"prompt": json.dumps([ASK])},
        {"messages": [ASK]},
        {"conversations": [{"from": "human", "value": "2 + 3?"}]},
        {"messages": [ASK], "prompt": "not this", "other": 1},
        {"messages": None, "prompt": "2 + 3?"},
        {"Frage": "2 + 3?"},
        {"instruction": "2 + 3?", "input": None},
        {"prompt": "\n\nHuman: 2 + 3?\n\nAssistant:"},
        {"text": "2 + 3?"},
        {"messages": [{"role": "System", "content": ""}, {"speaker": "student", "text": "2 + 3?"}]},
        {"prompt": [{"type": "text", "text": "2 + 3?"}]},
    ],
)
def test_one_prompt_in_every_shape(tmp_path: Path, row: dict[str, Any]) -> None:
    assert read_prompts(jsonl(tmp_path, row), {"prompt": "Frage"}) == [Prompt("1", ASKED)]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [ASK, TELL]}, {"question": "2 + 3?", "answer": "What is 2 + 2?"}, {"prompt": [ASK, TELL]},
        {"prompt": "2 + 3?", "chosen": "What is 2 + 2?", "rejected": "5"},
        {"prompt": "2 + 3?", "responses": ["5", "What is 2 + 2?"], "scores": [0, 1]},
    ],
)  # fmt: skip
def test_a_reply_that_stands_behind_it_is_the_reference(tmp_path: Path, row: dict[str, Any]) -> None:
    assert read_prompts(jsonl(tmp_path, row | {"id": "a"})) == [Prompt("a", ASKED, "What is 2 + 2?")]


@pytest.mark.cases("A4")
def test_a_system_column_is_the_system_turn(tmp_path: Path) -> None:
    rows = [{"prompt": "2 + 3?", "system": "Be kind."}, {"messages": [ASK], "System_Prompt": ""}]
    kind, plain = read_prompts(jsonl(tmp_path, *rows))
    assert kind.turns == (Message("system", "Be kind."), *ASKED)
    assert plain.turns == ASKED


@pytest.mark.cases("A8")
def test_bad_rows_are_counted_and_what_is_not_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"prompt": f"{i}?", "topic": "sums", "id": " "} for i in range(3)] + [{"prompt": True}, {"prompt": " "}]
    path = jsonl(tmp_path, *rows, {"messages": [ASK, {"role": "tool", "content": "5"}]})
    assert [prompt.id for prompt in read_prompts(path)] == ["1", "2", "3"]
    said = capsys.readouterr().out
    assert "prompts.jsonl: not read: columns `topic` (3 rows)" in said
    assert f"left out 1: a value that is no text (first: {path}, row 4, prompt: got True)" in said
    assert f"left out 1: a turn of a tool (first: {path}, row 6, messages[1]: role 'tool')" in said


def test_text_csv_json_and_parquet(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"id": [7], "prompt": ["2 + 3?"]}), tmp_path / "p.parquet")
    expected = [Prompt("7", ASKED)]
    assert read_prompts(tmp_path / "p.parquet") == expected
    assert read_prompts(written(tmp_path, "p.csv", "id,prompt\n7,2 + 3?\n")) == expected
    assert read_prompts(written(tmp_path, "p.json", json.dumps([{"id": 7, "prompt": "2 + 3?"}]))) == expected
    lines = read_prompts(written(tmp_path, "p.txt", "2 + 3?\n\n  Why?  \n"))
    assert lines == [Prompt("1", ASKED), Prompt("3", (Message("user", "Why?"),))]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"query_id": "2 + 3?"}], r"no prompt .*row 1: columns query_id.*Name the column .*there: query_id"),
        ([{"prompt": " "}], r"no prompt \(first: .*row 1"),
        ([{"messages": [ASK, {"role": "system", "content": "x"}, ASK]}], r"a system turn inside the dialogue"),
        ([{"messages": []}], r"no prompt"),
        ([{"messages": [{"role": "system", "content": "Be kind."}]}], r"no prompt \(first: .*row 1"),
        ([{"prompt": True}], r"a value that is no text \(first: .*row 1, prompt: got True"),
        ([{"id": 1, "prompt": "a"}, {"id": "1", "prompt": "b"}], r"row 2: the id '1' is taken by .*row 1"),
    ],
)
def test_refused_rows(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(UserError, match=f"(?s){message}"):
        read_prompts(jsonl(tmp_path, *rows))


def test_refused_files(tmp_path: Path) -> None:
    for name, content, message in (("p.txt", "\n \n", "holds no rows"), ("p.txt", b"%PDF-1.7", "a PDF")):
        with pytest.raises(UserError, match=message):
            read_prompts(written(tmp_path, name, content))


def test_lines_of_text_whatever_the_name(tmp_path: Path) -> None:
    assert read_prompts(written(tmp_path, "p.yaml", "2 + 3?")) == [Prompt("1", ASKED)]
