"""What happens to a job that SLURM wants to take away, without a SLURM: docs/sweeps.md says it."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from edu_align.config.comments import conf_dir
from edu_align.sweeps.slurm import Requeue

USUAL = OmegaConf.load(conf_dir() / "hydra" / "launcher" / "submitit_slurm.yaml")


@pytest.mark.parametrize(
    ("limit", "ran", "counts"),
    [(240, 191, False), (240, 193, True), (30, 19, False), (30, 21, True), (10, 0, True), (11, 0, False)],
)
def test_a_preemption_counts_as_the_end_of_the_time_where_the_docs_say_so(limit: int, ran: int, counts: bool) -> None:
    """In the last fifth of the limit, and in its last ten minutes."""
    core: Any = pytest.importorskip("submitit.core.job_environment")
    delayed = core.DelayedSubmission(print)
    delayed.set_timeout(limit, USUAL.max_num_timeout)
    handler = core.SignalHandler(None, None, delayed)
    handler._start_time = time.time() - 60 * ran
    assert handler.has_timed_out() is counts


def test_the_docs_have_the_launchers_numbers() -> None:
    assert (USUAL.timeout_min, USUAL.max_num_timeout) == (240, 3)
    said = (Path(__file__).resolve().parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")
    assert "`hydra.launcher.max_num_timeout` (3)" in said


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """What submitit and a run are told, in their order; submitit's handler is in place."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGTERM)}
    found: list[str] = []
    signal.signal(signal.SIGUSR2, lambda *_: found.append("submitit"))
    yield found
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_a_run_keeps_its_step_before_it_is_requeued(heard: list[str]) -> None:
    requeue = Requeue()
    signal.signal(signal.SIGTERM, lambda *_: heard.append("run"))
    os.kill(os.getpid(), signal.SIGUSR2)
    assert heard == ["run"]
    requeue.if_requested()
    assert heard == ["run", "submitit"]


def test_a_job_that_trains_nothing_yet_is_requeued_at_once(heard: list[str]) -> None:
    requeue = Requeue()
    os.kill(os.getpid(), signal.SIGUSR2)
    requeue.if_requested()
    assert heard == ["submitit"]
