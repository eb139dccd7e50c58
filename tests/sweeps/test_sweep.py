"""Whole sweeps of a stand-in job: what is kept, what is left out the second time, what a failure does."""

import os
import random
import signal
import time
from typing import Any

import psutil
import pytest

from tests.killing import until

BETAS = "trainer.beta=0.05,0.1,0.3"


def test_a_sweep_keeps_its_jobs_and_is_not_run_twice(sweep: Any) -> None:
    first = sweep("-m", BETAS, "seed=1,2", "objective=eval/score")
    assert first.returncode == 0, first.stderr
    assert sweep.notes() == ["0.05 1", "0.05 2", "0.1 1", "0.1 2", "0.3 1", "0.3 2"]
    assert (
        f"sweep {sweep.folder.name}: 6 of 6 finished, best eval/score -0 (trainer.beta=0.1 seed=1), as 1 other"
        in first.stdout
    )
    record = sweep.record
    expected = {"state": "finished", "total": 6, "sampler": "grid", "direction": "maximize"}
    assert record | expected | {"keys": ["trainer.beta", "seed"], "objective": "eval/score"} == record
    assert record["command"] == ["job.py", "-m", BETAS, "seed=1,2", "objective=eval/score", "trainer=dpo"]
    job = sweep.jobs()[4]
    assert job | {"number": 4, "values": {"trainer.beta": 0.3, "seed": 1}, "state": "finished", "error": None} == job
    assert job["objective"] == pytest.approx(-0.2)
    second = sweep("-m", BETAS, "seed=1,2", "objective=eval/score", "tracking=off")
    assert second.returncode == 0, second.stderr
    assert "every job was finished before" in second.stdout
    assert len(sweep.notes()) == 6
    assert sweep("-m", BETAS, "seed=1,2", "objective=eval/score", "dataset.size=60").returncode == 0
    assert len(list((sweep.place / "outputs" / "sweeps").iterdir())) == 2


def test_pairs_and_lines_of_a_file_are_jobs(sweep: Any) -> None:
    words = ["-m", "trainer.beta=0.05,0.1", "seed=3,4", "sweep.zip=[trainer.beta,seed]"]
    assert sweep(*words).returncode == 0
    assert sweep.notes() == ["0.05 3", "0.1 4"]
    assert "every job was finished before" in sweep(*words).stdout
    (sweep.place / "jobs.txt").write_text("trainer.beta=0.2 seed=5\ntrainer.beta=0.3\n", encoding="utf-8")
    done = sweep("-m", "sweep.jobs_file=jobs.txt")
    assert done.returncode == 0, done.stderr
    assert sweep.notes() == ["0.05 3", "0.1 4", "0.2 5", "0.3 42"]
    assert "every job was finished before" in sweep("-m", "sweep.jobs_file=jobs.txt").stdout
    (sweep.place / "jobs.txt").write_text("trainer.beta=0.2 seed=5\ntrainer.beta=0.4\n", encoding="utf-8")
    assert sweep("-m", "sweep.jobs_file=jobs.txt").returncode == 0  # another sweep, whose folder is its own
    assert len(list((sweep.place / "outputs" / "sweeps").iterdir())) == 3


def test_failures_are_kept_and_the_rest_goes_on(sweep: Any) -> None:
    done = sweep("-m", "trainer.beta=0.7,0.8,0.9,0.1")
    assert done.returncode == 1
    assert [job["state"] for job in sweep.jobs()] == ["failed", "failed", "failed", "finished"]
    assert [(job["error"] or "").partition(",")[0] for job in sweep.jobs()] == [
        "`trainer.beta=0.7` is refused here.", "RuntimeError: CUDA out of memory",
        "`objective=eval/pair_accuracy_implicit` is nan", "",
    ]  # fmt: skip
    message = done.stderr[done.stderr.index("edu_align: error: ") :]
    assert message.startswith("edu_align: error: 3 jobs failed:\n  - #0 (trainer.beta=0.7): `trainer.beta=0.7` is refu")
    assert "  - #1 (trainer.beta=0.8): RuntimeError: CUDA out of memory\n" in message
    assert sweep.record["state"] == "failed"
    again = sweep("-m", "trainer.beta=0.7,0.8,0.9,0.1")
    assert again.returncode == 1
    assert sweep.notes() == ["0.1 42"]
    assert sweep.notes("start") == ["0.7 42", "0.8 42", "0.9 42", "0.1 42", "0.7 42", "0.8 42", "0.9 42"]
    assert sweep.jobs()[1]["attempts"] == ["RuntimeError: CUDA out of memory"]


def test_a_failure_stops_the_sweep_where_that_is_asked(sweep: Any) -> None:
    words = ["-m", "trainer.beta=0.1,0.7,0.2,0.3"]
    done = sweep(*words, "sweep.stop_on_error=true")
    assert done.returncode == 2
    assert [job["state"] for job in sweep.jobs()] == ["finished", "failed", "waiting", "waiting"]
    said = "edu_align: stopped: job 1 failed, and sweep.stop_on_error=true; 2 jobs not started. The same command goes"
    assert said in done.stderr
    assert sweep.record["state"] == "failed"
    again = sweep(*words)  # of the same name, and a failure of the call before does not stop it
    assert again.returncode == 2
    assert [job["state"] for job in sweep.jobs()] == ["finished", "failed", "finished", "finished"]
    assert "stopped" not in again.stderr


@pytest.mark.parametrize("more", [[], ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]], ids=["one", "joblib"])
def test_equal_failures_stop_the_sweep_and_others_do_not(sweep: Any, more: list[str]) -> None:
    words = ["-m", "trainer.beta=0.8,0.9", "seed=range(1,9)", "sweep.stop_after=3", *more]
    done = sweep(*words)
    assert done.returncode == 1
    states = [job["state"] for job in sweep.jobs()]
    assert states.count("failed") in (3, 4)  # of two at a time one more may have begun
    assert states.count("waiting") == 16 - states.count("failed")
    assert "jobs failed alike, and sweep.stop_after=3; 1" in done.stderr
    assert len(sweep.notes("start")) == states.count("failed")


def test_different_failures_are_not_alike(sweep: Any) -> None:
    done = sweep("-m", "trainer.beta=0.7,0.8,0.9,0.1", "sweep.stop_after=2")
    assert [job["state"] for job in sweep.jobs()] == ["failed", "failed", "failed", "finished"]
    assert "stopped" not in done.stderr


def test_user_errors_alone_end_with_their_own_code(sweep: Any) -> None:
    done = sweep("-m", "trainer.beta=0.7,0.1")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_an_interruption_starts_no_further_job_and_the_command_goes_on(sweep: Any) -> None:
    done = sweep("-m", "trainer.beta=0.1,0.5,0.3")
    assert done.returncode == 130
    assert "The same command goes on from here." in done.stderr
    assert [job["state"] for job in sweep.jobs()] == ["finished", "interrupted", "waiting"]
    assert sweep.record["state"] == "interrupted"
    (sweep.place / "second").touch()
    assert sweep("-m", "trainer.beta=0.1,0.5,0.3").returncode == 0
    assert sweep.notes() == ["0.1 42", "0.5 42", "0.3 42"]


def test_a_name_holds_one_sweep_and_one_process(sweep: Any) -> None:
    running = sweep.start("-m", "sweep.name=mine", "trainer.beta=0.1", JOB_SECONDS="60")
    try:
        until(lambda: sweep.notes("start"))
        refused = sweep("-m", "sweep.name=mine", "trainer.beta=0.1")
        assert refused.returncode == 2
        said = f"The sweep mine is running already, on {os.uname().nodename} as process {running.pid}."
        assert said in refused.stderr
        assert sweep.notes("start") == ["0.1 42"]
    finally:
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 143
    other = sweep("-m", "sweep.name=mine", "trainer.beta=0.3")
    assert other.returncode == 2
    assert "`sweep.name=mine`: that sweep asked for something else (job.py -m sweep.name=mine" in other.stderr


def test_random_draws_go_on_where_they_stopped(sweep: Any) -> None:
    words = ["-m", "sweep.sampler=random", "trainer.beta=interval(0.01,0.4)", "seed=range(1,4)"]
    assert sweep(*words, "sweep.trials=3").returncode == 0
    first = [job["values"] for job in sweep.jobs()]
    assert sweep(*words, "sweep.trials=5").returncode == 0
    assert [job["values"] for job in sweep.jobs()][:3] == first
    assert len(sweep.notes()) == len(set(sweep.notes())) == 5


def test_joblib_runs_the_jobs_and_survives_a_killed_one(sweep: Any) -> None:
    words = ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "trainer.beta=0.1,0.6,0.3,0.8"]
    done = sweep(*words, JOB_SECONDS="0.5")
    assert done.returncode == 1, done.stderr
    assert [job["state"] for job in sweep.jobs()] == ["finished", "failed", "finished", "failed"]
    assert sweep.jobs()[1]["error"].startswith("its process died without a word")
    assert "2 jobs failed" in done.stderr
    again = sweep(*words)
    assert again.returncode == 1
    assert sorted(set(sweep.notes())) == ["0.1 42", "0.3 42"]


def test_torchrun_starts_no_sweep(sweep: Any) -> None:
    done = sweep("-m", BETAS, WORLD_SIZE="2")
    assert done.returncode == 2
    assert "torchrun or accelerate launch started several sweeps" in done.stderr


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_killed_at_any_moment_it_ends_as_if_it_never_was(sweep: Any, seed: int) -> None:
    """Each kill comes at a random moment of the sweep; a finished job never runs again."""
    source = random.Random(seed)
    words = ["-m", "trainer.beta=0.05,0.1,0.2,0.3", "seed=1,2"]
    for _ in range(3):
        running = sweep.start(*words, JOB_SECONDS="0.3")
        started = len(sweep.notes("start"))
        until(lambda: len(sweep.notes("start")) > started or running.poll() is not None)  # noqa: B023
        time.sleep(source.uniform(0, 0.8))
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        done_before = [job for job in sweep.jobs() if job["state"] == "finished"]
    done = sweep(*words)
    assert done.returncode == 0, done.stderr
    grid = [{"trainer.beta": beta, "seed": seed} for beta in (0.05, 0.1, 0.2, 0.3) for seed in (1, 2)]
    assert [(job["number"], job["values"], job["state"]) for job in sweep.jobs()] == [
        (number, values, "finished") for number, values in enumerate(grid)
    ]
    assert [job for job in sweep.jobs() if job in done_before] == done_before
    assert sorted(set(sweep.notes())) == [f"{values['trainer.beta']} {values['seed']}" for values in grid]


@pytest.mark.slow
@pytest.mark.cases("D17")
def test_workers_of_joblib_end_where_their_sweep_is_killed(sweep: Any) -> None:
    running = sweep.start(
        "-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "trainer.beta=0.1,0.3", JOB_SECONDS="60"
    )
    until(lambda: len(sweep.notes("start")) == 2, 60)
    workers = [psutil.Process(job["pid"]) for job in sweep.jobs()]
    running.kill()
    running.wait()
    until(lambda: not any(worker.is_running() for worker in workers), 30)
    assert sweep("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "trainer.beta=0.1,0.3").returncode == 0
