"""Which signals ask a run to stop, and whose handlers are left alone."""

import os
import signal
import time

import pytest

from edu_align.runs.attempts import stoppable
from edu_align.utils.errors import Interrupted
from edu_align.utils.interrupts import as_exception


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_handler_of_a_scheduler_is_left_alone(number: int) -> None:
    """As submitit's, which requeues the job."""
    asked: list[int] = []
    before = signal.signal(number, lambda number, frame: asked.append(number))
    try:
        with stoppable() as stop:
            os.kill(os.getpid(), number)
            time.sleep(0)
            assert asked == [number]
            assert stop.number is None
    finally:
        signal.signal(number, before)


@pytest.mark.cases("D10")
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGHUP])
def test_before_and_after_training_it_ends_at_once_and_handlers_are_put_back(number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught, stoppable():
        signal.raise_signal(number)
    assert caught.value.code == 128 + number
    assert signal.getsignal(number) == before


@pytest.mark.cases("D10")
def test_a_terminal_that_closes_while_a_run_trains_is_a_stop_at_the_end_of_the_step() -> None:
    reached = []
    with pytest.raises(Interrupted) as caught, stoppable() as stop, stop.at_step_ends():
        reached.append(signal.raise_signal(signal.SIGHUP))
    assert reached
    assert caught.value.code == 129


@pytest.mark.cases("D10")
def test_under_nohup_a_terminal_that_closes_is_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable() as stop, as_exception():
            signal.raise_signal(signal.SIGHUP)
            assert stop.number is None
    finally:
        signal.signal(signal.SIGHUP, before)
