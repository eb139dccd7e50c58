"""A simulated student beside every tutor, on the page and in the Markdown."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edu_align.evaluation.suite.prompts import Prompt
from edu_align.evaluation.suite.talks import Talk, Try, saying, talks, talks_metric
from edu_align.records import Message
from edu_align.reports.comparison.talks import COUNT, outcome, shared_talks
from edu_align.reports.comparison.write import write_comparison
from tests.reports.comparison_builders import EVIL, compared, row, student, three
from tests.reports.pages import Page


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


def test_what_the_metric_stores_is_what_the_page_shows(tmp_path: Path) -> None:
    """Talks of a trained tutor and of its base with one pupil, who gets it right once the tutor asks."""
    prompts = [Prompt(f"s{n}", f"g{n}", "edu_tutor", (Message("user", f"Problem {n}: I got 7."),)) for n in range(5)]

    def pupil(heard: Sequence[Talk]) -> list[Try]:
        return [Try("So it is 8.", "?" in talk.reply) for talk in heard]

    said = {"base": "Look again.", "SFT": "Look again.", "DPO": "What is 3 + 5?"}
    models = [
        replace(model, results={"student": talks_metric("student", "", talks(prompts, saying(tutor), pupil), {})})
        for model in three(tmp_path)
        for tutor in [lambda asked, text=said[model.label]: text]
    ]
    page = write_comparison(compared(models), tmp_path / "report", "python -m edu_align.report runs=[tutor-dpo]")[0]
    text = Page(page.read_text(encoding="utf-8")).text
    assert text.count("DPO: right after 1 turn") == COUNT
    assert text.count("base: not right after 4 turns") == COUNT
    assert "What is 3 + 5?" in text
