"""Which signals ask a run to stop, and whose handlers are left alone."""

import os
import signal
import time

import pytest

from edu_align.runs.attempts import stoppable
from edu_align.utils.errors import Interrupted
from tests.killing import in_child


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
def test_a_hangup_that_is_ignored_stays_so() -> None:
    """Under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop.number is None
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.cases("D10")
def test_a_terminal_that_was_closed_is_no_error() -> None:
    """What is written to it fails otherwise (EIO), also the word that the run stops."""

    def train() -> None:
        for stream in (1, 2):
            os.dup2(theirs, stream)
        os.close(ours)
        with stoppable() as stop, stop.at_step_ends():
            signal.raise_signal(signal.SIGHUP)
            os.write(1, b"a line of the log")

    ours, theirs = os.openpty()
    assert in_child(train) == 129
    os.close(ours)
    os.close(theirs)
