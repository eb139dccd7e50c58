"""Several objectives: the jobs that no other one beats in all of them, from run.json and from the suite's results."""

import os
from pathlib import Path
from typing import Any

import pytest

from edu_align.evaluation.suite.results import MetricResult, Series
from edu_align.evaluation.suite.store import _packed
from edu_align.reports.sweep.pareto import front
from edu_align.reports.sweep.reading import Job, Sweep, read_sweep
from edu_align.reports.sweep.write import write_report
from edu_align.utils.files import read_json, write_json
from tests.reports.pages import Page, check_self_contained
from tests.reports.sweep_builders import METRIC, grid_sweep

BETAS = {"trainer.beta": [0.05, 0.1, 0.3]}


def suite(run: Path, questions: float, leaks: float, split: str = "validation") -> None:
    """What `evaluate` leaves of a run: two stored results, listed in the run's folder."""
    items = [(f"i{at}", f"g{at % 4}") for at in range(20)]

    def series(share: float) -> Series:
        return Series.of([(item, group, float(at < share * 20), 1.0) for at, (item, group) in enumerate(items)])

    found = {
        "form": MetricResult("form", "x", {"question_rate/a": series(questions), "words/a": series(1.0)},
                             units={"question_rate/a": "share"}, better={"question_rate/a": "higher", "words/a": ""}),
        "leak": MetricResult.alike("leak", "x", {"leak_rate": series(leaks)}, "share", "lower"),
    }  # fmt: skip
    place = run.parents[1] / "evaluations" / run.name
    place.mkdir(parents=True)
    for name, result in found.items():
        write_json(place / f"{name}.json", _packed(result))
    (run / "evaluation").mkdir()
    files = {name: os.path.relpath(place / f"{name}.json", run) for name in found}
    write_json(run / "evaluation" / f"{split}.json", {"files": {"base": {}, "DPO": files}, "notes": []})


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """Three jobs: job 1 asks most, job 2 leaks least, job 0 is beaten by both in both."""
    folder = grid_sweep(tmp_path, grid=BETAS)
    for number, (questions, leaks) in enumerate([(0.2, 0.8), (0.9, 0.5), (0.5, 0.1)]):
        suite(tmp_path / "runs" / f"grid-{number}", questions, leaks)
    return folder


def test_the_front_weighs_numbers_of_the_suite(measured: Path) -> None:
    found = front(read_sweep(measured), ["question_rate/a", "leak_rate"])
    assert found is not None
    assert found.rows[0] == [
        "job", "setting", "question_rate/a (higher is better)", "leak_rate (lower is better)", "on the front",
    ]  # fmt: skip
    assert [(row[0], row[1], row[4]) for row in found.rows[1:]] == [
        ("1", "beta=0.1", "yes"), ("2", "beta=0.3", "yes"), ("0", "beta=0.05", "no: job 1"),
    ]  # fmt: skip
    assert found.rows[1][2].startswith("0.900 [")
    assert found.notes == []


def test_metrics_of_the_run_and_of_the_suite_stand_together(measured: Path) -> None:
    found = front(read_sweep(measured), [METRIC, "leak_rate", "words/a"])
    assert found is not None
    assert [row[0] for row in found.rows[1:] if row[4] == "yes"] == ["2"]
    assert found.notes == ["words/a: neither more nor less of it is better, so it decides nothing here."]


def test_what_is_not_measured_is_said_with_the_command(measured: Path) -> None:
    os.unlink(measured.parents[1] / "runs" / "grid-1" / "evaluation" / "validation.json")
    found = front(read_sweep(measured), ["question_rate/a", "leak_rates"])
    assert found is not None
    assert found.rows == []
    assert found.notes == [
        "question_rate/a is not measured of 1 of 3 finished jobs, which the table leaves out. Measure it: python -m "
        "edu_align.evaluate 'runs=[grid-1]' evaluation.split=validation",
        "leak_rates is not measured of 3 of 3 finished jobs, which the table leaves out. Did you mean `leak_rate`? "
        "Measure it: python -m edu_align.evaluate 'runs=[grid-0,grid-1,grid-2]' evaluation.split=validation",
    ]
    found = front(read_sweep(measured), ["question_rate/a", "leak_rate"])
    assert found is not None
    assert [row[0] for row in found.rows[1:]] == ["2", "0"]


def test_equal_jobs_are_both_on_the_front_and_one_objective_is_none() -> None:
    def job(number: int, accuracy: float, loss: float, state: str = "finished") -> Job:
        metrics = {"eval/x_accuracy": accuracy, "eval/loss": loss}
        return Job(number, [], {"seed": number}, state, run=Path("runs/a"), metrics=metrics)

    jobs = [job(0, 0.5, 1.0), job(1, 0.5, 1.0), job(2, 0.5, 1.1), job(3, 0.6, 2.0), job(4, 0.9, 0.1, "failed")]
    sweep = Sweep("s", Path("."), ["seed"], jobs, "eval/loss", "minimize")
    found = front(sweep, ["eval/x_accuracy", "eval/loss"])
    assert found is not None
    assert [(row[0], row[-1]) for row in found.rows[1:]] == [
        ("0", "yes"), ("1", "yes"), ("3", "yes"), ("2", "no: job 0"),
    ]  # fmt: skip
    assert front(sweep, []) is front(sweep, ["eval/loss"]) is None


def test_the_pages_have_the_table(measured: Path) -> None:
    assert "Several objectives" not in write_report(measured).read_text(encoding="utf-8")
    record: dict[str, Any] = read_json(measured / "sweep.json") or {}
    write_json(measured / "sweep.json", record | {"pareto": ["question_rate/a", "leak_rate"]})
    page = write_report(measured).read_text(encoding="utf-8")
    check_self_contained(page, scripts=1)
    for text in (Page(page).text, (measured / "report.md").read_text(encoding="utf-8")):
        assert "Several objectives" in text
        assert "leak_rate (lower is better)" in text
        assert "no: job 1" in text
        assert "intervals that overlap tell no two jobs apart" in text
