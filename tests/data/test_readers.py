"""Readers: what they accept, and the one message of every fault."""

import re
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
        ("d.json", '[{"a": 1},]', "broken JSON.*line 1, column"),
        ("d.jsonl", '{"a": \n', "broken JSON.*near"),
        ("d.csv", 'a,b\n1,2\n3,"4\n5,6\n', "row 2: broken CSV, unexpected end.*quotes"),
        ("d.csv", "a,b,a\n1,2,3\n", "two columns are called 'a'"),
        ("d.parquet", b"PAR1 is not enough", "not a readable Parquet file"),
        ("d.parquet", "no parquet", "neither JSON nor a table: it begins with 'no parquet'"),
        ("d.jsonl", b'{"a": "\x00\xe9\xff"}', "binary data"),
        ("d.txt", "a", "neither JSON nor a table"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_rows(write(tmp_path, name, text))


@pytest.mark.cases("A9")
@pytest.mark.parametrize(
    ("name", "text", "faults"),
    [
        ("d.jsonl", '{"a": 1}\n{"a": \n{"a": 3}\n', {2: "broken JSON, Expecting value at column 6, near"}),
        ("d.jsonl", 'exported\n{"a": 1}\n{"a": 3}\n', {1: "broken JSON, Expecting value .* near 'exported"}),
        ("d.jsonl", '{"a": 1}\n[1, 2]\n', {2: r"a row that is no object, a list \[1, 2\]"}),
        ("d.jsonl", '{"a": 1}\n' + '{"a": ' * 60 + "1" + "}" * 60, {2: "nested too deeply, 61 levels; at most 50"}),
        ("d.csv", "a,b\n1,2\n1,2,3\n1\n", {2: "more cells .*, 3 cells under 2 names", 3: "fewer cells .* 1 cells"}),
        ("d.csv", 'a,b\n"x"y,2\n1,2\n', {1: "broken quotes in a CSV, ',' expected after '\"'"}),
        ("d.csv", "a;b\n1;2\n;\n\n1;2;;\n", {}),
        (
            "d.jsonl",
            '{"a": "\u00e9\u00e9"}\n{"a": "\u00e9"}\n'.encode()[:-5] + b'\xe9"}\n',
            {2: "text that is no Unicode"},
        ),
    ],
)
def test_a_bad_row_is_a_fault_and_the_others_are_read(
    tmp_path: Path, name: str, text: str | bytes, faults: dict[int, str]
) -> None:
    rows = read_rows(write(tmp_path, name, text))
    assert [row.number for row in rows if row.fault] == list(faults)
    assert any(row.data for row in rows if not row.fault)
    for row in rows:
        assert re.match(faults.get(row.number, ", "), f"{row.fault}, {row.detail}")
    with pytest.raises(UserError, match=r"d\..*, row \d+: (.*Mend it\.|no column)"):
        next(row for row in rows[::-1] if row.fault or row is rows[0]).get("c", str)


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
