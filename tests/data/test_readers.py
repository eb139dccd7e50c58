"""Readers: what they accept, and the one message of every fault."""

from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from edu_align.data.readers import Row, read_rows
from edu_align.utils.errors import UserError


def write(folder: Path, name: str, text: str | bytes) -> Path:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


def test_all_formats_give_the_same_rows(tmp_path: Path) -> None:
    rows = [{"a": "x, y", "b": 'say "hi"'}, {"a": "é", "b": "2\n3"}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "d.parquet")
    files = [
        write(tmp_path, "d.json", '[{"a": "x, y", "b": "say \\"hi\\""}, {"a": "é", "b": "2\\n3"}]'),
        write(tmp_path, "d.jsonl", '{"a": "x, y", "b": "say \\"hi\\""}\n\n{"a": "é", "b": "2\\n3"}\n'),
        write(tmp_path, "d.csv", 'a,b\n"x, y","say ""hi"""\né,"2\n3"\n'),
        tmp_path / "d.parquet",
    ]
    for file in files:
        assert [row.data for row in read_rows(file)] == rows
    assert [row.number for row in read_rows(tmp_path / "d.jsonl")] == [1, 3]
    with pytest.raises(UserError, match=r"none\.json: there is no such file"):
        read_rows(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("d.json", "", "holds no rows"),
        ("d.jsonl", "\n\n", "holds no rows"),
        ("d.json", "[]", "holds no rows"),
        ("d.csv", "a,b\n", "holds no rows"),
        ("d.json", '{"a": 1}', "must hold a list of objects, got an object"),
        ("d.json", '[{"a": 1},]', "broken JSON.*line 1, column"),
        ("d.jsonl", '{"a": 1}\n{"a": \n', r"d\.jsonl, row 2: broken JSON.*near"),
        ("d.jsonl", '{"a": 1}\n[1, 2]\n', r"row 2: a row must be an object, got a list \[1, 2\]"),
        ("d.csv", "a,b\n1,2\n1,2,3\n", "row 2: 3 cells under 2 column names"),
        ("d.csv", "a,b\n1\n", "row 1: 1 cells under 2 column names"),
        ("d.csv", 'a,b\n"x"y,2\n', "row 1: broken CSV"),
        ("d.parquet", "not parquet", "not a readable Parquet file"),
        ("d.jsonl", b'{"a": "\xe9"}', "not UTF-8 at byte 7"),
        ("d.txt", "a", r"suffix must be one of \.jsonl.*got '\.txt'"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_rows(write(tmp_path, name, text))


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda row: row.get("questions", str), r"row 4: no column `questions` \(did you mean `question`\?\).*2 \+ 2"),
        (lambda row: row.get("n", str), "`n` is null"),
        (lambda row: row.nested("items"), r"`items\[0\]` must be an object, got a number 1"),
        (lambda row: Row(row.data | {"a": "x" * 5000}, "f.json", 4).get("b", str), r"characters\)"),
    ],
)
def test_row_errors_show_the_row(read: Any, message: str) -> None:
    with pytest.raises(UserError, match=rf"f\.json, .*{message}"):
        read(Row({"question": "2 + 2?", "n": None, "items": [1]}, "f.json", 4))
