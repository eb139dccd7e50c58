"""The pages as a reader sees them: in Chromium at the width of a desk and of a phone, in light and dark, nothing is cut
off, nothing leaves its column, and the trained model is in sight.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edu_align.reports.comparison.models import Model
from edu_align.reports.comparison.write import write_comparison
from edu_align.reports.rounds.write import write_rounds
from edu_align.reports.sweep.write import write_report
from tests.browser import broken
from tests.reports.comparison_builders import compared, results, run_folder, student, three
from tests.reports.rounds_builders import rounds_folder
from tests.reports.sweep_builders import grid_sweep, job_file

LONG = "a-run-with-a-very-long-name_that-says-everything_about-beta-0.1-and-its-learning-rate"
DESK, PHONE = 1280, 390
WIDTHS = (DESK, PHONE)
METRICS = ("pair_accuracy", "leak", "form")
OPEN = "document.querySelectorAll('details').forEach(each => each.open = true)"
EMPTY = """[...document.querySelectorAll('h2, h3, h4')].filter(head => {
  const next = head.nextElementSibling;
  if (!head.innerText.trim() || !next || !next.getBoundingClientRect().height) return true;
  return /^H[1-4]$/.test(next.tagName) && next.tagName <= head.tagName;
}).map(head => head.textContent)"""


def one(place: Path) -> Path:
    return write_comparison(compared(three(place, prompts=5)), place / "report", "python -m edu_align.report")[0]


def talking(place: Path) -> Path:
    """Students beside every tutor: a word without a space, a tutor that says nothing, and one that asks."""
    said = {"base": "x" * 200, "SFT": "", "DPO": "What is 3 + 5?"}
    models = [
        replace(model, results={**model.results, "student": student(said[model.label], range(4))})
        for model in three(place, prompts=5)
    ]
    return write_comparison(compared(models), place / "report", "python -m edu_align.report")[0]


def alone(place: Path) -> Path:
    return write_comparison(compared(three(place, prompts=5)[:1]), place / "report", "python -m edu_align.report")[0]


def eight(place: Path) -> Path:
    """Six runs of one parent, three with long names, with wrong pairs and replies of many words without a space."""
    base, sft, _ = three(place, prompts=5, says="Look at " + "x" * 200)
    for model in (base, sft):
        for metric in set(model.results) - set(METRICS):
            del model.results[metric]
    models = [base, sft]
    for number in range(6):
        name = f"{LONG}-{number}" if number < 3 else f"dpo-{number}"
        run = run_folder(place, name, "dpo", sft.run, seed=10 + number)
        every = results(0.5 + 0.05 * number, 300 + number, True, prompts=5)
        found = {metric: every[metric] for metric in METRICS}
        row = {"number": "pair_accuracy/implicit", "prompt": [{"role": "user", "content": "y" * 300}], "apart": 1.0}
        wrong = ({**row, "item": "a", "chosen": "Why? " * 60, "rejected": "z" * 300},)
        found["pair_accuracy"] = replace(found["pair_accuracy"], examples=wrong)
        models.append(Model(name, f"k{number}", found, sft="SFT", run=run, rival=f"{LONG}-0" if number else None))
    return write_comparison(compared(models), place / "report", f"python -m edu_align.report runs=[{LONG}]")[0]


def sweep(place: Path) -> Path:
    folder = grid_sweep(place, LONG)
    job_file(folder, 6, {"trainer.beta": 0.9}, "failed", error="ValueError: " + "x" * 300)
    return write_report(folder)


def many(place: Path) -> Path:
    grid = {"dataset.path": [f"/a/{LONG}.jsonl", "b"], "trainer.beta": [at / 30 for at in range(13)], "seed": [1]}
    return write_report(grid_sweep(place, "many", grid, steps=3))


def rounds(place: Path) -> Path:
    """Three rounds whose replies have words without a space, and one that is empty."""
    folder = rounds_folder(place, gaps={"score": 0.3, "words": -5.0}, says="Look at " + "x" * 200)
    return write_rounds(folder, place)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[Path], Path]], str]:
    """`made(one)`: the address of that page, written once."""
    pages: dict[Any, str] = {}

    def address(build: Callable[[Path], Path]) -> str:
        if build not in pages:
            pages[build] = build(tmp_path_factory.mktemp(build.__name__)).as_uri()
        return pages[build]

    return address


@pytest.mark.parametrize("build", [one, talking, alone, eight, sweep, many, rounds])
def test_nothing_is_cut_off_and_no_heading_stands_over_nothing(build: Any, made: Any, chromium: Any) -> None:
    def look(page: Any) -> list[Any]:
        page.goto(made(build))
        page.evaluate(OPEN)
        return [at_width(page, width) for width in WIDTHS] + [page.evaluate(EMPTY)]

    assert chromium(look) == [[], [], []]


def at_width(page: Any, width: int) -> list[str]:
    page.set_viewport_size({"width": width, "height": 900})
    return broken(page)


def test_the_trained_model_is_in_sight_on_a_phone(made: Any, chromium: Any) -> None:
    """Its replies stand first in each sample, and its numbers end before the right edge."""

    def look(page: Any) -> Any:
        page.goto(made(one))
        ends = "[...document.querySelectorAll('.trained')].filter(e => e.checkVisibility()).map(e => [e.className,"
        return page.evaluate(f"{ends} e.getBoundingClientRect().right, e.parentElement.firstElementChild === e])")

    found = chromium(look, PHONE)
    replies = [entry for entry in found if "reply" in entry[0]]
    assert len(found) > len(replies) >= 3
    assert all(right <= PHONE for _, right, _ in found)
    assert all(is_first for _, _, is_first in replies)


def test_each_tutor_stands_beside_the_base_with_one_student(made: Any, chromium: Any) -> None:
    """At a desk side by side: the columns of a student begin at one height, the trained tutor's first."""

    def look(page: Any) -> Any:
        page.goto(made(talking))
        return page.evaluate(
            "[...document.querySelectorAll('#students article')].map(each => [...each.querySelectorAll('.reply')].map("
            "one => [one.querySelector('h4').innerText, one.getBoundingClientRect().top]))"
        )

    found = chromium(look, DESK)
    assert len(found) == 3
    for columns in found:
        assert [name.partition(":")[0] for name, _ in columns] == ["DPO", "base", "SFT"]
        assert len({top for _, top in columns}) == 1


def test_pictures_show_their_lines_in_both_schemes(made: Any, chromium: Any) -> None:
    """No colour of a line, a dot or a text is that of the page behind it, and the two schemes differ."""

    def look(page: Any) -> Any:
        page.goto(made(one))
        style = "getComputedStyle(each)"
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        drawn = page.evaluate(f"[...document.querySelectorAll('.panel .mark')].map(each => {style}.stroke)")
        dots = page.evaluate(f"[...document.querySelectorAll('.track .dot')].map(each => {style}.backgroundColor)")
        text = page.evaluate(f"[...document.querySelectorAll('p, th, td')].map(each => {style}.color)")
        return paper, {*drawn, *dots, *text}

    (light, on_light), (dark, on_dark) = (chromium(look, dark=dark) for dark in (False, True))
    assert light != dark
    assert on_light.isdisjoint({light, "none", "rgba(0, 0, 0, 0)"})
    assert on_dark.isdisjoint({dark, "none", "rgba(0, 0, 0, 0)"})
    assert len(on_light) >= 5


def test_a_page_asks_nothing_of_a_network_and_its_script_runs(made: Any, chromium: Any) -> None:
    def look(page: Any) -> Any:
        asked: list[str] = []
        errors: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: errors.append(message.text))
        page.goto(made(sweep))
        cells = "[...document.querySelectorAll('.jobs tbody tr')].map(row => row.cells[0].textContent)"
        before = page.evaluate(cells)
        page.click(".jobs th")
        return asked, errors, before, page.evaluate(cells)

    asked, errors, before, after = chromium(look)
    assert (asked, errors) == ([made(sweep)], [])
    assert before != after == sorted(before, key=int)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<p>whole</p>", []),
        ("<p style='width: 3rem; overflow: hidden; white-space: nowrap'>a text that is cut</p>", ["leaves its P"]),
        ("<p style='height: 1rem; font-size: 0.75rem; overflow: hidden'>a<br>b<br>c</p>", ["is cut off by its P"] * 2),
        ("<table><td style='max-width: 3rem; white-space: nowrap'>a long cell</table>", ["leaves its TD"]),
        ("<svg viewBox='0 0 50 20' width='100'><text x='40' y='10'>legend</text></svg>", ["leaves its svg"]),
        ("<svg viewBox='0 0 90 20' width='300'><text y='15'>one</text><text y='15'>two</text></svg>", ["lies over"]),
        ("<div style='overflow: auto; width: 2rem; white-space: nowrap'>a wide table</div>", ["nothing shows"]),
        ("<div style='width: 900px'>wide</div>", ["the page is"]),
    ],
)
def test_the_measure_finds_what_a_reader_would(body: str, said: list[str], chromium: Any) -> None:
    def look(page: Any) -> list[str]:
        page.set_content(f"<!doctype html><body>{body}")
        return broken(page)

    found = chromium(look, PHONE)
    assert len(found) == len(said)
    assert all(problem.startswith(start) for problem, start in zip(found, said, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("build", [one, eight, sweep, many, rounds])
def test_other_widths_hold_too(build: Any, dark: bool, made: Any, chromium: Any) -> None:
    def look(page: Any) -> list[str]:
        page.goto(made(build))
        page.evaluate(OPEN)
        return [problem for width in (320, 600, 768, 1024, 1920) for problem in at_width(page, width)]

    assert chromium(look, dark=dark) == []
