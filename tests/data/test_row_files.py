"""The content of a file decides how it is read, whatever its name says."""

import gzip
import shlex
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.schema import DatasetConfig
from edu_align.data.dataset import load_records
from edu_align.data.readers import iter_rows, rows_of
from edu_align.data.row_files import look_at
from edu_align.records import ResponseGroup
from edu_align.utils.errors import UserError

TWO = [{"a": 1}, {"a": 2}]
LINES, LIST = '{"a": 1}\n{"a": 2}\n', '[{"a": 1},\n {"a": 2}]'
GERMAN = "frage;gut;schlecht\nWas heißt »teilen«?;Überlege: wie groß ist ein Stück, und warum?;Weiß nicht.\n"
POLISH = "pytanie;dobra;zła\nIle to trzy dodać cztery?;Pomyśl: jaka liczba następuje później?;Źle się zastanawiasz.\n"
JAPANESE = "質問;良い;悪い\n三足す四はいくつですか?;次の数を考えてみましょう;七です\n"
CHINESE = "问题;好;坏\n三加四等于多少?;想一想下一个数字是什么;七\n"
RUSSIAN = "вопрос;хорошо;плохо\nСколько будет три плюс четыре?;Подумай, какое число идёт дальше?;Семь.\n"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def read(file: Path) -> tuple[list[dict[str, Any]], str]:
    found = look_at(file)
    rows = list(rows_of(found))
    assert not any(row.fault for row in rows)
    assert [row.data for row in rows_of(found)] == [row.data for row in rows], "a second time"
    return [row.data for row in rows], found.note


@pytest.mark.cases("A9")
@pytest.mark.parametrize(
    ("name", "content", "rows", "note"),
    [
        ("d.json", LINES, TWO, "one JSON object a line"),
        ("TALK.JSONL", LINES, TWO, ""),
        ("d.ndjson", LINES.replace("\n", "\r\n"), TWO, ""),
        ("d.txt", "\n\n" + LINES, TWO, "one JSON object a line"),
        ("d.parquet", "\ufeff" + LINES, TWO, "one JSON object a line"),
        ("d.jsonl", LINES.replace("\n", "\r"), TWO, "JSON objects one behind another"),
        ("d.jsonl", '{\n "a": 1\n}\n{\n "a": 2\n}\n', TWO, "JSON objects one behind another"),
        ("d.jsonl", LIST, TWO, "a JSON list"),
        ("DATA.JSON", LIST, TWO, ""),
        ("d.json", '{"a": 1}', TWO[:1], ""),
        ("d.json", '{"v": "1", "data": [{"a": 1}, {"a": 2}]}', TWO, "rows in `data` (not read beside it: v)"),
        ("d.json", '{"a": [1, 2], "b": ["x", "y"]}', [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], "a list a column"),
        ("d.json", '{"a": {"0": 1, "1": 2}, "b": {"0": 3, "1": 4}}', [{"a": 1, "b": 3}, {"a": 2, "b": 4}],
         "an object a column"),
        ("d.json", '{"x1": {"a": 1}, "x2": {"a": 2}}', TWO, "an object of rows"),
        ("d.json", '{"messages": [{"role": "user", "content": "?"}]}',
         [{"messages": [{"role": "user", "content": "?"}]}], ""),
        ("d.json", '{"data": [{"prompt": "?", "response": "!", "score": 1}], "by": "me"}',
         [{"prompt": "?", "response": "!", "score": 1}], "rows in `data` (not read beside it: by)"),
        ("d.json", '{"conversations": [{"user": "u1", "messages": []}]}', [{"user": "u1", "messages": []}],
         "rows in `conversations`"),
        ("d.json", '{"prompt": "?", "responses": [{"text": "a", "score": 1}]}',
         [{"prompt": "?", "responses": [{"text": "a", "score": 1}]}], ""),
        ("d.csv", "a;b\n1,5;x, y, z\n", [{"a": "1,5", "b": "x, y, z"}], "';' between cells"),
        ("d.csv", "sep=|\r\na|b\r\n1|2\r\n", [{"a": "1", "b": "2"}], "'|' between cells"),
        ("d.csv", 'a, b\n"x; y", "1; 2"\n', [{"a": "x; y", "b": "1; 2"}], ""),
        ("d.CSV", "a\tb\n1\t2\n", [{"a": "1", "b": "2"}], "tabs between cells"),
        ("d.tsv", "a\tb\n1\t2\n", [{"a": "1", "b": "2"}], ""),
        ("d.txt", "a\tb\n1\t2\n", [{"a": "1", "b": "2"}], "a table, tabs between cells"),
        ("d.csv", "prompt\nWell, why?\n", [{"prompt": "Well, why?"}], ""),
        ("d.jsonl.gz", gzip.compress(LINES.encode(), mtime=0), TWO, "one JSON object a line"),
        ("d.csv", gzip.compress(b"a;b\n1;2\n", mtime=0), [{"a": "1", "b": "2"}], "';' between cells"),
    ],
)  # fmt: skip
def test_the_content_decides(tmp_path: Path, name: str, content: str | bytes, rows: Any, note: str) -> None:
    assert read(write(tmp_path, name, content)) == (rows, note)


@pytest.mark.cases("A9")
@pytest.mark.parametrize(
    ("text", "encoding", "note"),
    [
        (GERMAN, "cp1252", "read as cp1252, "),
        (GERMAN, "utf-16", "read as UTF-16, "),
        (GERMAN, "utf-16-be", "read as UTF-16-BE, "),
        (GERMAN, "utf-8-sig", ""),
        (POLISH, "cp1250", "read as cp1250, "),
        (RUSSIAN, "koi8_r", "read as koi8_r, "),
        (RUSSIAN, "cp1251", "read as cp1251, "),
        (JAPANESE, "cp932", "read as cp932, "),
        (JAPANESE, "euc_jp", "read as euc_jp, "),
        (CHINESE, "gb18030", "read as gb18030, "),
        ("a;b\n2 + 3?;Zähle\n", "cp1252", "read as cp1252, "),
    ],
)
def test_encodings_are_told_or_guessed_and_said(tmp_path: Path, text: str, encoding: str, note: str) -> None:
    (row,), said = read(write(tmp_path, "d.csv", text.encode(encoding)))
    header, cells = (line.split(";") for line in text.strip().split("\n"))
    assert row == dict(zip(header, cells, strict=True))
    assert said == f"{note}';' between cells"


@pytest.mark.cases("A9")
def test_an_encoding_that_cannot_be_told_is_named_with_a_command_that_works(tmp_path: Path) -> None:
    file = write(tmp_path, "my talk.csv", "frage;gut\n2 + 3?;Zähle weiter\n".encode("mac_roman"))
    with pytest.raises(UserError, match=r"not UTF-8 at byte 18.*MACINTOSH \('2 \+ 3\?;Zähle weiter'\)") as error:
        look_at(file)
    command = str(error.value).partition("as in: ")[2]
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, check=False).returncode == 0
    assert read(tmp_path / "my talk.utf8.csv")[0][0]["frage"] == "2 + 3?"


@pytest.mark.cases("A9")
def test_several_lists_are_named_with_a_command_that_works(tmp_path: Path) -> None:
    file = write(tmp_path, "my rows.json", '{"train": [{"a": 1}, {"a": 2}], "old test": [{"a": 3}]}')
    with pytest.raises(UserError, match=r"several lists of rows: `train`, `old test`") as error:
        look_at(file)
    program, *words = shlex.split(str(error.value).partition("of its own: ")[2])
    assert program == "python"
    subprocess.run([sys.executable, *words], check=True)
    assert read(tmp_path / "my rows.train.json") == (TWO, "")


def workbook(file: Path, sheets: dict[str, list[list[str | float | None]]]) -> None:
    """The least that a workbook is: an archive with one part a sheet, and those that name them."""
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'
    names = "".join(f'<sheet name="{name}" sheetId="{i}" r:id="r{i}"/>' for i, name in enumerate(sheets))
    links = "".join(
        f'<Relationship Id="r{i}" Type="{office}/worksheet" Target="worksheets/{i}.xml"/>' for i in range(len(sheets))
    )
    with zipfile.ZipFile(file, "w") as archive:
        first = f'<Relationship Id="r" Type="{office}/officeDocument" Target="xl/workbook.xml"/>'
        archive.writestr("_rels/.rels", f"<Relationships {package}>{first}</Relationships>")
        archive.writestr("xl/workbook.xml", f'<workbook {main} xmlns:r="{office}"><sheets>{names}</sheets></workbook>')
        archive.writestr("xl/_rels/workbook.xml.rels", f"<Relationships {package}>{links}</Relationships>")
        for i, rows in enumerate(sheets.values()):
            lines = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
            archive.writestr(f"xl/worksheets/{i}.xml", f"<worksheet {main}><sheetData>{lines}</sheetData></worksheet>")


def cell(value: str | float | None) -> str:
    if value is None:
        return "<c/>"
    return f'<c t="inlineStr"><is><t>{value}</t></is></c>' if isinstance(value, str) else f"<c><v>{value}</v></c>"


@pytest.mark.cases("A9")
def test_a_workbook_is_read_by_an_extra(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    rows: list[list[str | float | None]] = [["frage", "n", None], ["Was ist 1/2?", 3], [None, None], ["x\u2028y", 2.5]]
    workbook(tmp_path / "d.csv", {"leer": [], "Paare": rows, "alt": rows})
    found = [{"frage": "Was ist 1/2?", "n": 3}, {"frage": "x\u2028y", "n": 2.5}]
    assert read(tmp_path / "d.csv") == (found, "sheet 'Paare'; not read: 'alt'")


@pytest.mark.cases("A9")
def test_a_workbook_without_the_extra_and_other_archives_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    for name, part, message in (
        ("d.xlsx", "xl/workbook.xml", r"pip install python-calamine.*save the sheet as d\.csv"),
        ("d.zip", "talks/d.csv", "a zip archive. Unpack it"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(part, "x")
        with pytest.raises(UserError, match=message):
            look_at(tmp_path / name)


@pytest.mark.cases("A9")
def test_lines_stay_a_stream_and_end_at_newlines_only(tmp_path: Path) -> None:
    file = write(tmp_path, "d.jsonl", '{"a": "x\u2028y\x85z\x0b"}\n' + '{"a": 1}\n' * 300_000)
    began = time.monotonic()
    rows = iter_rows(file)
    assert [next(rows).data, next(rows).data] == [{"a": "x\u2028y\x85z\x0b"}, {"a": 1}]
    assert time.monotonic() - began < 0.5


@pytest.mark.cases("A9")
def test_lines_of_text_are_cells_of_the_first_column_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path, "d.txt", "2 + 3, or 5?\r\n\nWell, who knows?\n")
    assert [row.data for row in rows_of(look_at(file, ("prompt", "x")))] == [
        {"prompt": "2 + 3, or 5?"}, {"prompt": "Well, who knows?"},
    ]  # fmt: skip
    table = write(tmp_path, "e.txt", "id;Prompt\n1;2 + 3?\n")
    assert [row.data for row in rows_of(look_at(table, ("prompt", "x")))] == [{"id": "1", "Prompt": "2 + 3?"}]


@pytest.mark.cases("A9")
def test_a_local_file_says_what_was_guessed_and_counts_its_bad_rows(tmp_path: Path) -> None:
    rows = [f"Was heißt {i} + 3?;Zähle weiter.;{i}" for i in range(9)]
    file = write(
        tmp_path, "paare.csv", "\n".join(["prompt;chosen;rejected", *rows, "a;b", "a;b;c;d;e"]).encode("cp1252")
    )
    config = DatasetConfig(name="local", sources=["local"], path=str(file))
    data = load_records(config, None, tmp_path, 0, "preference")
    source = data.sources["local"]
    assert (source.read, source.kept, sum(source.dropped.values())) == (11, 9, 2)
    assert source.note.startswith("read as cp1252, ';' between cells")
    record = next(record for part in data.splits.values() for record in part)
    assert isinstance(record, ResponseGroup)
    assert record.prompt[-1].content.startswith("Was heißt ")


@pytest.mark.cases("A9")
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.csv", "<!DOCTYPE html><p>Sign in", "but a web page"),
        ("d.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        ("d.csv", b"%PDF-1.7", "but a PDF"),
        ("d.jsonl.gz", gzip.compress(LINES.encode() * 99, mtime=0)[:-12], "cannot be read"),
        ("d.json", "Hello there.\nHow are you?\n", "neither JSON nor a table: it begins with 'Hello there"),
    ],
)
def test_what_is_no_file_of_rows_is_named(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        list(iter_rows(write(tmp_path, name, content)))


TURNS = '[{"role": "user", "content": "2 + 3?"}, {"role": "assistant", "content": "Why?"}]'


@pytest.mark.cases("A9")
@pytest.mark.parametrize(
    ("name", "content", "count"),
    [
        ("d.json", TURNS, 1),
        ("d.json", f"[{TURNS}, {TURNS}]", 2),
        ("d.jsonl", f"{TURNS}\n{TURNS}\n", 2),
        ("d.jsonl", f'{{"messages": {TURNS}}},\n{{"messages": {TURNS}}},\n', 2),
        ("d.json", f'{{"conversations": [{{"from": "system"}}, {TURNS[1:]}}}', 1),
        ("d.csv", "prompt;completion;\nHi;Why?\nHo;Why?;\n", 2),
    ],
)
def test_rows_without_a_name_of_their_own(tmp_path: Path, name: str, content: str, count: int) -> None:
    file = write(tmp_path, name, content)
    data = load_records(
        DatasetConfig(name="local", sources=["local"], path=str(file)), None, tmp_path, 0, "conversation"
    )
    assert f" of {count} rows kept" in data.describe()
    assert "the same as an earlier record" in data.describe() or sum(map(len, data.splits.values())) == count


@pytest.mark.cases("A2")
def test_a_null_that_a_table_spells_is_an_empty_cell_and_said(tmp_path: Path) -> None:
    table = "prompt,input,completion,lesson\nAdd 2,nan,Why?,L1\nAdd 3,NULL,Why?,nan\nAdd 4,,Why?,nan\nAdd 5,,None,L1\n"
    keys = {"path": str(write(tmp_path, "d.csv", table)), "columns": {"group": "lesson", "prompt": "prompt"}}
    data = load_records(DatasetConfig(name="local", sources=["local"], **keys), None, tmp_path, 0, "conversation")
    records = [record for side in data.splits.values() for record in side]
    assert sorted(record.messages[0].content for record in records) == ["Add 2", "Add 3", "Add 4"]
    assert len({record.group for record in records}) == 3
    assert "1 time: `nan` in `input` was read as an empty cell" in data.describe()
    assert "`None` in `completion` was read" in data.describe()
    assert "left out 1: empty reply" in data.describe()


@pytest.mark.cases("A1")
def test_python_dicts_one_a_line_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Python's repr of objects.*json\.dumps"):
        look_at(write(tmp_path, "d.jsonl", "{'a': 1}\n{'a': 2}\n"))
