"""What is read of a sweep, whole or half way through."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from edu_align.config.metrics import direction_of
from edu_align.reports.html.curves import series
from edu_align.reports.html.page import json_lines
from edu_align.reports.sweep.reading import as_number, read_sweep, with_objective
from edu_align.reports.sweep.write import write_report
from edu_align.runs.process import who
from edu_align.utils.errors import UserError
from edu_align.utils.files import write_json
from tests.reports.sweep_builders import METRIC, entry, grid_sweep, job_file, sweep_file

NEW = {"trainer.beta": 0.9, "trainer.learning_rate": 1e-4}


def test_a_finished_grid_is_read_whole(tmp_path: Path) -> None:
    sweep = read_sweep(grid_sweep(tmp_path))
    assert (sweep.name, sweep.direction, sweep.objective) == ("grid", "maximize", METRIC)
    assert sweep.counts() == {"finished": 6}
    assert [job.number for job in sweep.jobs] == list(range(6))
    job = sweep.jobs[0]
    assert job.values == {"trainer.beta": 0.05, "trainer.learning_rate": 1e-4}
    assert (job.seconds, job.peak_gib, job.objective) == (13.0, 1.25, job.metrics[METRIC])
    assert set(job.entries) == {METRIC, "before/pair_accuracy_logp"}
    assert job.entries[METRIC]["n"] == 120
    best = sweep.ranked()[0]
    assert best.objective == max(job.objective for job in sweep.jobs)
    assert len(json_lines(best.run)) == 8


def test_the_direction_decides_who_is_best(tmp_path: Path) -> None:
    sweep = read_sweep(grid_sweep(tmp_path, direction="minimize"))
    assert sweep.ranked()[0].objective == min(job.objective for job in sweep.jobs)
    guessed = read_sweep(grid_sweep(tmp_path / "b", direction="auto"))
    assert guessed.direction == "maximize"
    directions = {"train/loss": "minimize", "eval/human_turn_nll": "minimize", "eval/rewards/margins": "maximize"}
    assert {name: direction_of(name) for name in directions} == directions


def test_jobs_on_the_way_have_their_states_and_no_rank(tmp_path: Path) -> None:
    folder = grid_sweep(tmp_path, state="running", total=12)
    job_file(folder, 6, NEW, "running", host="elsewhere", pid=1)
    job_file(folder, 7, NEW, "failed", error="ValueError: no")
    job_file(folder, 8, NEW, "pruned", objective=0.99)
    job_file(folder, 9, NEW, "finished", objective=float("nan"))
    (folder / "jobs" / "0010.json").write_text('{"number": 1')
    sweep = read_sweep(folder)
    once = dict.fromkeys(("running", "failed", "pruned", "unreadable", "waiting"), 1)
    assert sweep.counts() == {"finished": 7, **once}
    assert {job.number for job in sweep.ranked()} == set(range(6))
    assert [job.number for job in sweep.ordered()][6:] == [6, 9, 8, 7, 10]


def test_a_job_whose_process_is_gone_is_interrupted(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    folder = grid_sweep(tmp_path, state="running")
    here = socket.gethostname()
    job_file(folder, 6, NEW, "running", host=here, pid=ended.pid)
    job_file(folder, 7, NEW, "running", **who())
    job_file(folder, 8, NEW, "running", host=here, pid=os.getpid(), began=1.0)
    jobs = read_sweep(folder).jobs
    assert jobs[8].state == "interrupted"
    assert (jobs[6].state, jobs[6].error) == ("interrupted", f"its process {ended.pid} on {here} is gone")
    assert jobs[7].state == "running"


def test_a_run_that_is_gone_leaves_what_its_job_says(tmp_path: Path) -> None:
    folder = grid_sweep(tmp_path)
    whole = read_sweep(folder).ranked()[0]
    shutil.rmtree(tmp_path / "runs" / whole.run.name)
    best = read_sweep(folder).ranked()[0]
    assert (best.number, best.objective, best.metrics, json_lines(best.run)) == (whole.number, whole.objective, {}, [])
    page = write_report(folder).read_text(encoding="utf-8")
    assert "no model to talk to" in page
    assert "1 run folder is gone" in page


def test_a_half_written_line_is_skipped_and_a_step_twice_is_read_once(tmp_path: Path) -> None:
    folder = grid_sweep(tmp_path)
    job = read_sweep(folder).jobs[0]
    with (job.run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "loss": 0.25}\n{"step": 9, "lo')
    rows = json_lines(job.run)
    assert len(rows) == 9
    steps, values = series(rows, "loss")
    assert (steps[-1], values[-1], len(steps)) == (8, 0.25, 8)


def test_a_run_measured_again_on_other_items_has_no_interval(tmp_path: Path) -> None:
    folder = grid_sweep(tmp_path)
    job = read_sweep(folder).jobs[0]
    evaluation = json.loads((job.run / "evaluation.json").read_text())
    evaluation["after"]["pair_accuracy_logp"] = entry(0.9, 5)
    write_json(job.run / "evaluation.json", evaluation)
    read = read_sweep(folder).jobs[0]
    assert METRIC not in read.entries
    assert read.objective == job.objective


def test_another_objective_ranks_by_the_runs_metrics(tmp_path: Path) -> None:
    sweep = read_sweep(grid_sweep(tmp_path))
    other = with_objective(sweep, "train/loss")
    assert other.direction == "minimize"
    assert other.ranked()[0].objective == min(job.metrics["train/loss"] for job in sweep.jobs)
    wrong = r"`objective=train/los` is no metric.*Did you mean `train/loss`\?.*They have: "
    with pytest.raises(UserError, match=wrong):
        with_objective(sweep, "train/los")


@pytest.mark.parametrize(
    ("given", "read"),
    [("1e-4", 1e-4), ("0.05", 0.05), ("3", 3), ("-2", -2), ("007", "007"), ("sigmoid", "sigmoid"), (True, True)],
)
def test_numbers_in_text_become_numbers(given: object, read: object) -> None:
    assert as_number(given) == read
    assert type(as_number(given)) is type(read)


def test_a_folder_that_is_no_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"sweep\.json does not exist"):
        write_report(tmp_path)
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(UserError, match=r"is no JSON object, so .* is no sweep"):
        write_report(tmp_path)


def test_a_sweep_without_jobs_yet_has_a_report(tmp_path: Path) -> None:
    folder = tmp_path / "sweeps" / "empty"
    sweep_file(folder, ["trainer.beta"], 4, state="running")
    page = write_report(folder).read_text(encoding="utf-8")
    assert "4 jobs: 4 waiting" in page
    assert "No job has finished with a finite" in page
