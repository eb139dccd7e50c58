"""Files of rows: a line ends at a newline only, and what is half written can be left out."""

from pathlib import Path

import pytest

import edu_align
from edu_align.utils.jsonl import append_row, cut_back, numbered_lines, read_rows

ROWS = [{"step": 1, "text": "one\u2028line\x85 and ½"}, {"step": 2}]


def test_rows_come_back_as_they_were_and_are_cut_back(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    assert read_rows(file) == []
    append_row(file, ROWS[0])
    size = file.stat().st_size
    append_row(file, ROWS[1])
    assert read_rows(file) == ROWS
    cut_back(file, 10_000)
    cut_back(file, size)
    cut_back(tmp_path / "missing", 0)
    assert read_rows(file) == ROWS[:1]


@pytest.mark.cases("A15")
def test_a_row_behind_a_torn_one_is_whole_and_half_a_letter_spoils_no_other(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes('{"step": 1}\n{"text": "½'.encode()[:-1])
    append_row(file, ROWS[0])
    assert read_rows(file, skip_damaged=True) == [{"step": 1}, ROWS[0]]
    assert [number for number, _ in numbered_lines(file)] == [1, 2, 3]


@pytest.mark.cases("A15")
def test_no_text_is_split_where_unicode_sees_a_line_break() -> None:
    package = Path(edu_align.__file__).parent
    files = [file for folder in (package, package.parent / "torture") for file in folder.rglob("*.py")]
    assert len(files) > 100
    assert [str(file) for file in files if "splitlines" in file.read_text(encoding="utf-8")] == []


def test_a_half_written_line_is_an_error_or_left_out(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"step": 1}\n\n[2]\n{"ste')
    assert [number for number, _ in numbered_lines(file)] == [1, 3, 4]
    assert read_rows(file, skip_damaged=True) == [{"step": 1}]
    with pytest.raises(ValueError, match="Unterminated"):
        read_rows(file)
