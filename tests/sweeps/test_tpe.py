"""TPE on Optuna: it learns, gives up on bad jobs, and goes on after a death with the same values."""

import os
import signal
from typing import Any

import pytest

from edu_align.sweeps.space import Dimension
from edu_align.sweeps.state import SweepFolder, update
from edu_align.sweeps.tpe import Tpe, should_prune, study_at
from edu_align.utils.jsonl import cut_torn_line
from tests.killing import until

SPACE = [
    Dimension("trainer", "dpo", words=("dpo",)),
    Dimension("trainer.beta", "interval(0.01,0.5)", True, (), 0.01, 0.5, log=True),
    Dimension("adapter.rank", "interval(2,8)", True, (), 2, 8, whole=True),
    Dimension("model", "tiny,smollm2", True, ("tiny", "smollm2")),
]


def _search(folder: SweepFolder, batch: int = 1, prune: Any = None) -> Tpe:
    return Tpe(folder, SPACE, 12, 7, batch, "maximize", prune)


def _finish(folder: SweepFolder, number: int) -> None:
    job = folder.job(number)
    update(folder.job_path(number), job, state="finished", objective=-abs(job["values"]["trainer.beta"] - 0.1))


def test_an_interrupted_search_ends_as_one_that_never_was(tmp_path: Any) -> None:
    whole, broken = SweepFolder(tmp_path / "whole"), SweepFolder(tmp_path / "broken")
    for folder in (whole, broken):
        folder.path.mkdir()
    search = _search(whole)
    while batch := search.next(set()):
        for number in batch:
            _finish(whole, number)
            search.tell(whole.job(number))
    for _ in range(12):  # every job by a search of its own; half of the jobs are told by nobody before it dies
        search = _search(broken)
        for number in search.next(set()):
            _finish(broken, number)
            if number % 2:
                search.tell(broken.job(number))
    values = [[(job["number"], job["overrides"]) for job in folder.jobs()] for folder in (whole, broken)]
    assert values[0] == values[1]
    assert [job["number"] for job in whole.jobs()] == list(range(12))
    assert all(job["overrides"][0] == "trainer=dpo" for job in whole.jobs())
    ranks = {job["values"]["adapter.rank"] for job in whole.jobs()}
    assert ranks <= set(range(2, 9))
    assert len(ranks) > 2
    assert _search(broken).next(set()) == []


def test_a_trial_without_a_file_gets_one_with_its_values(tmp_path: Any) -> None:
    folder = SweepFolder(tmp_path)
    search = _search(folder)
    (number,) = search.next(set())
    asked = folder.job(number)
    folder.job_path(number).unlink()
    search = _search(folder)
    assert folder.job(number)["overrides"] == asked["overrides"]
    assert search.next({number}) == [number]


def test_a_failed_job_is_tried_again_with_its_values_and_number(tmp_path: Any) -> None:
    folder = SweepFolder(tmp_path)
    search = _search(folder)
    (number,) = search.next(set())
    before = folder.job(number)["overrides"]
    update(folder.job_path(number), folder.job(number), state="failed", error="x")
    search.tell(folder.job(number))
    search = _search(folder)
    assert search.next({number}) == [number]
    assert folder.job(number)["overrides"] == before
    _finish(folder, number)
    search.tell(folder.job(number))
    states = [trial.state.name for trial in search.study.trials]
    assert states == ["FAIL", "COMPLETE"]
    assert search.study.trials[0].params == search.study.trials[1].params


def test_the_worse_two_thirds_are_given_up(tmp_path: Any) -> None:
    folder = SweepFolder(tmp_path)
    prune = {"metric": "eval/score", "sign": 1, "min_steps": 2, "factor": 3}
    search = _search(folder, batch=6, prune=prune)
    numbers = search.next(set())
    told = [folder.job(number)["prune"] for number in numbers]
    assert [should_prune(folder.path, one, 1, 0.5) for one in told] == [False] * 6  # before the first decision
    verdicts = [should_prune(folder.path, one, 2, score) for one, score in zip(told, (6, 5, 4, 9, 3, 2), strict=True)]
    assert verdicts == [False, True, True, False, True, True]


def test_half_a_line_at_the_end_of_the_journal_is_cut_off(tmp_path: Any) -> None:
    folder = SweepFolder(tmp_path)
    search = _search(folder)
    search.next(set())
    journal = tmp_path / "optuna.log"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code": 4, "worker')
    cut_torn_line(journal)
    assert journal.read_bytes() == whole
    assert len(study_at(tmp_path, "maximize", None).trials) == 1


def test_a_killed_sweep_goes_on_with_the_same_trials(sweep: Any) -> None:
    words = ["sweep=tpe", "objective=score", "sweep.prune_metric=train/score", "sweep.prune_min_steps=1"]
    running = sweep.start(*words, "sweep.trials=4", JOB_SECONDS="5")
    until(lambda: sweep.notes("start"))
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    asked = sweep.jobs()[-1]
    assert asked["state"] == "running"
    done = sweep(*words, "sweep.trials=4")
    assert done.returncode == 0, done.stderr
    assert sweep.jobs()[asked["number"]]["overrides"] == asked["overrides"]
    assert len(sweep.jobs()) == 4
    assert {job["state"] for job in sweep.jobs()} <= {"finished", "pruned"}
    assert len(study_at(sweep.folder, "maximize", None).trials) == 4
    assert sweep.record["direction"] == "maximize"


@pytest.mark.cases("C13")
@pytest.mark.parametrize("where", ["begin", "middle", "end"])
def test_a_half_line_in_the_journal_loses_no_finished_job(
    tmp_path: Any, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = SweepFolder(tmp_path)
    search = _search(folder, batch=2)
    for _ in range(2):
        for number in search.next(set()):
            if number != 3:
                _finish(folder, number)
                search.tell(folder.job(number))
    before = [(job["number"], job["overrides"], job["state"], job["objective"]) for job in folder.jobs()]
    journal = tmp_path / "optuna.log"
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    at = {"begin": 0, "middle": len(lines) // 2, "end": len(lines) - 1}[where]
    lines[at] = lines[at][: len(lines[at]) // 2] + ("\n" if where != "middle" else "")
    journal.write_text("".join(lines), encoding="utf-8")
    again = _search(folder, batch=2)
    assert "has a line that is cut; it is now optuna.broken" in capsys.readouterr().out
    assert (tmp_path / "optuna.broken").is_file()
    assert [(job["number"], job["overrides"], job["state"], job["objective"]) for job in folder.jobs()] == before
    told = {trial.user_attrs["job"]: trial for trial in again.study.trials}
    assert [told[number].value for number in range(3)] == [folder.job(number)["objective"] for number in range(3)]
    assert told[0].params["trainer.beta"] == folder.job(0)["values"]["trainer.beta"]
    assert not told[3].state.is_finished()
    assert again.next({3}) == [3]
    assert again.next(set()) == [4, 5]
    capsys.readouterr()
    assert _search(folder).next(set()) == [6]
    assert capsys.readouterr().out == ""
