"""What a sweep would do: its jobs, what is finished of them, time and memory; nothing is started."""

import re
from typing import Any

import pytest
from omegaconf import OmegaConf

from edu_align.sweeps.dry_run import Forecast, print_forecast
from edu_align.utils.errors import SomeFailed

SMALL = ["model=tiny", "dataset.size=60", "trainer.max_steps=3", "hardware=cpu", "hardware.memory_gb=4"]
WORDS = ["-m", *SMALL, "trainer.beta=0.1,0.2", "seed=1,2", "sweep.zip=[trainer.beta,seed]"]


def rows(text: str) -> list[list[str]]:
    return [re.split(r"  +", line) for line in text.splitlines() if re.match(r"\d+  ", line)]


def test_a_dry_run_starts_nothing_and_knows_what_is_finished(sweep: Any) -> None:
    done = sweep(*WORDS, "sweep.dry_run=true")
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"edu_align: sweep dpo-edu_tutor-\w{8}: 2 jobs, compared by eval/pair_accuracy_implicit; nothing is started\n"
        r"job  state     memory +time +run  values\n",
        done.stdout,
    )
    found = rows(done.stdout)
    assert [(row[0], row[1], row[5]) for row in found] == [
        ("0", "to train", "trainer.beta=0.1 seed=1"), ("1", "to train", "trainer.beta=0.2 seed=2"),
    ]  # fmt: skip
    assert re.search(
        r"0 of 2 jobs finished; 2 jobs left: about \d+ s of training, one at a time; the largest, job [01], takes "
        r"\d+\.\d\d GB of 4\.00\n",
        done.stdout,
    )
    assert sweep.notes("start") == []
    assert not (sweep.place / "outputs" / "sweeps").exists()
    assert sweep(*WORDS).returncode == 0
    jobs = sweep.jobs()
    again = sweep(*WORDS, "sweep.dry_run=true", "sweep.jobs_file=null")
    assert [row[1] for row in rows(again.stdout)] == ["finished", "finished"]
    assert "2 of 2 jobs finished; none is left to train\n" in again.stdout
    assert sweep.jobs() == jobs
    assert len(sweep.notes("start")) == 2


def test_what_would_fail_is_said_and_ends_it(sweep: Any) -> None:
    done = sweep("-m", *SMALL, "hardware.memory_gb=4,0.001", "sweep.dry_run=true")
    assert done.returncode == 2
    assert [row[1] for row in rows(done.stdout)] == ["to train", "would fail"]
    assert (
        "edu_align: error: 1 job would fail:\n  - #1 (hardware.memory_gb=0.001): it is planned to take " in done.stderr
    )
    assert "Traceback" not in done.stderr
    alone = sweep(*SMALL, "sweep.dry_run=true")
    assert alone.returncode == 2
    assert "`sweep.dry_run=true` is of a sweep, and this is one run. Add -m, or drop it." in alone.stderr


def test_a_search_says_how_many_jobs_it_has_not_chosen(sweep: Any) -> None:
    done = sweep("sweep=tpe", *SMALL, "sweep.trials=7", "sweep.dry_run=true")
    assert done.returncode == 0, done.stderr
    assert "and 7 jobs whose values tpe chooses as it learns from those before\n" in done.stdout
    drawn = sweep("-m", *SMALL, "sweep.sampler=random", "trainer.beta=interval(0.1,0.2)", "sweep.trials=2",
                  "sweep.dry_run=true")  # fmt: skip
    assert [row[1] for row in rows(drawn.stdout)] == ["to train", "to train"]


def test_sums_of_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    gb = 2**30
    found = [
        Forecast(0, {"seed": 1}, "finished", "a"),
        Forecast(1, {"seed": 2}, "to train", "-", 2.0 * gb, 8 * gb, 600.0),
        Forecast(2, {"seed": 3}, "goes on", "b", 3.0 * gb, 8 * gb, 1200.0),
        Forecast(3, {"seed": 4}, "to train", "-", None, 8 * gb, None),
    ]
    joblib = OmegaConf.create({"sweep": {"sampler": "grid"}, "hydra": {"launcher": {"_target_": "J", "n_jobs": 2}}})
    print_forecast("s", "eval/x", found, joblib)
    out = capsys.readouterr().out
    assert "1 of 4 jobs finished; 3 jobs left: about 20 min of training, 2 at a time (not known of 1); the la" in out
    assert "job 2, takes 3.00 GB of 8.00\n" in out
    with pytest.raises(SomeFailed):
        print_forecast("s", "eval/x", [Forecast(0, {}, "would fail", error="no")], joblib)
