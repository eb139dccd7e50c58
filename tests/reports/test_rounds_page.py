"""The page of rounds: what stands in it, that it claims no more than its intervals, and that a gamed score is said."""

from pathlib import Path

import pytest

from edu_align.reports.rounds.reading import read_rounds
from edu_align.reports.rounds.write import findings, headline, write_rounds
from edu_align.utils.errors import UserError
from tests.reports.pages import Page, check_self_contained
from tests.reports.rounds_builders import rounds_folder


def test_both_files_are_there_and_the_page_loads_nothing(tmp_path: Path) -> None:
    folder = rounds_folder(tmp_path, says="<script>alert(1)</script>")
    written = write_rounds(folder, tmp_path)
    assert written == tmp_path / "reports" / folder.name / "report.html"
    text = written.read_text(encoding="utf-8")
    check_self_contained(text)
    page = Page(text).text
    for said in ("KL to the base", "Replies with a question", "people", "constant reply", "(empty)", "start-3", "n is"):
        assert said in page
    assert "<script>alert" not in text
    assert "| Score |" in (written.parent / "report.md").read_text(encoding="utf-8")


def test_no_gain_is_claimed_that_the_interval_does_not_carry(tmp_path: Path) -> None:
    shown = read_rounds(rounds_folder(tmp_path / "a", gaps={"score": 0.3}))
    not_shown = read_rounds(rounds_folder(tmp_path / "b", gaps={"score": 0.05}))
    assert "told from 0." in headline(shown)
    assert "not told from 0: no gain was shown." in headline(not_shown)
    assert any(line.startswith("No rise of the score was shown") for line in findings(not_shown))


def test_a_gamed_score_is_said(tmp_path: Path) -> None:
    gamed = findings(read_rounds(rounds_folder(tmp_path / "a", gaps={"score": 0.4, "words": -9.0, "same_reply": 0.6})))
    assert [line.partition(":")[0] for line in gamed[:2]] == [
        "The score rose, and replies are shorter",
        "The score rose, and replies are more alike",
    ]
    fine = findings(read_rounds(rounds_folder(tmp_path / "b", gaps={"score": 0.4, "words": 0.05})))
    assert fine[0].startswith("The score rose, and none of the signs of a gamed score moved")


def test_rounds_that_go_on_are_shown_as_far_as_they_are(tmp_path: Path) -> None:
    folder = rounds_folder(tmp_path, many=0, ended=False)
    assert "they are not at their end" in headline(read_rounds(folder))
    check_self_contained(write_rounds(folder, tmp_path).read_text(encoding="utf-8"))
    with pytest.raises(UserError, match="holds no round that was measured"):
        read_rounds(tmp_path)
