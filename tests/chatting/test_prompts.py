"""Files of prompts in every shape, and rows that are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from edu_align.chatting.prompts import Prompt, read_prompts
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
    ],
)
def test_one_prompt_in_every_shape(tmp_path: Path, row: dict[str, Any]) -> None:
    assert read_prompts(jsonl(tmp_path, row)) == [Prompt("1", ASKED)]


def test_a_last_assistant_turn_is_the_reference(tmp_path: Path) -> None:
    found = read_prompts(jsonl(tmp_path, {"id": "a", "messages": [ASK, TELL]}))
    assert found == [Prompt("a", ASKED, "What is 2 + 2?")]


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
        ([{"question": "2 + 3?"}], r"row 1: none of the columns messages, conversations, prompt; there are question"),
        ([{"prompt": " "}], r"row 1: a turn is empty"),
        ([{"messages": [TELL, ASK]}], r"row 1: the turns do not alternate user, assistant"),
        ([{"messages": [ASK, ASK]}], r"row 1: the turns do not alternate"),
        ([{"messages": []}], r"row 1: there is no turn to answer"),
        ([{"messages": [{"role": "system", "content": "Be kind."}]}], r"row 1: there is no turn to answer"),
        ([{"prompt": 3}], r"row 1: `prompt` must be a list, got a number"),
        ([{"id": 1, "prompt": "a"}, {"id": "1", "prompt": "b"}], r"row 2: the id '1' is taken by .*row 1"),
    ],
)
def test_refused_rows(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_prompts(jsonl(tmp_path, *rows))


def test_refused_files(tmp_path: Path) -> None:
    for name, content, message in (
        ("p.yaml", "a", r"suffix must be one of \.txt, \.jsonl"),
        ("p.txt", "\n \n", "holds no line with text"),
        ("latin.txt", b"\xe9t\xe9", "not UTF-8 at byte 0"),
    ):
        with pytest.raises(UserError, match=message):
            read_prompts(written(tmp_path, name, content))
