"""A simulated student beside every tutor, on the page and in the Markdown."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from edu_align.evaluation.suite.results import MetricResult
from edu_align.reports.comparison.talks import COUNT, outcome, shared_talks
from edu_align.reports.comparison.write import write_comparison
from tests.reports.comparison_builders import EVIL, compared, series, three
from tests.reports.pages import Page


def row(number: int, says: str, right: bool = False, told: bool = False, turns: int = 1) -> dict[str, Any]:
    said = [("user", f"Problem {number}. I got 7."), *[("assistant", says), ("user", "So it is 8.")] * turns]
    talk = [{"role": role, "content": content} for role, content in said]
    return {
        "item": f"student {number}", "talk": talk, "opening": 1, "right": right, "told": told, "tutor_turns": turns,
    }  # fmt: skip


def student(says: str, numbers: range) -> MetricResult:
    rows = tuple(row(number, says, right=True) for number in numbers)
    return MetricResult("student", "Talks.", {"student_found": series(0.5, 1)}, examples=rows)


def test_each_student_stands_beside_every_tutor(tmp_path: Path) -> None:
    models = three(tmp_path)
    assert shared_talks(models) == []
    said = {"base": "Recheck.", "SFT": "Look at 3 + 4.", "DPO": EVIL}
    ranges = {"base": range(8), "SFT": range(1, 9), "DPO": range(9)}
    talking = [
        replace(model, results={**model.results, "student": student(said[model.label], ranges[model.label])})
        for model in models
    ]
    shown = shared_talks(talking)
    assert len(shown) == COUNT
    assert [one.item for one in shown] == [one.item for one in shared_talks(talking[::-1])]
    assert all(one.opening[0][1].startswith("Problem") for one in shown)
    assert {label: side.turns[0] for label, side in shown[0].sides.items()} == {
        label: ("assistant", text) for label, text in said.items()
    }
    path, _ = write_comparison(compared(talking), tmp_path / "report", "python -m edu_align.report runs=[tutor-dpo]")
    page = Page(path.read_text(encoding="utf-8"))
    assert "The tutor and a student" in page.text
    assert EVIL in page.text
    markdown = path.with_name("report.md").read_text(encoding="utf-8")
    assert "**base**: the student is right after 1 turn." in markdown
    assert "<script" not in markdown


def test_what_came_of_a_talk_in_words() -> None:
    assert outcome(row(1, "", turns=4)) == "not right after 4 turns"
    assert outcome(row(1, "", right=True, told=True)) == "right after 1 turn, and was told the answer"
