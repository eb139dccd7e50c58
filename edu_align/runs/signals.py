"""SIGTERM, SIGINT and what SLURM sends before it takes a machine away (SIGUSR1, SIGUSR2): the run keeps a checkpoint at
the end of its step and ends.

While nothing is trained there is nothing to keep that is not kept already, and it ends at once; so it does the second
time it is asked.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from edu_align.utils.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)  # `sbatch --signal`; taken only where nobody else, as submitit, has them


class Stop:
    """Whether a run is to stop at the end of its step. `training`: whether it is in a step that is worth ending."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.training = False

    def ask(self, number: int) -> None:
        """Stop at the end of the step, or now (raises `Interrupted`). `number`: of the signal that says so."""
        if self.number is not None or not self.training:
            raise Interrupted(number)
        self.number = number
        name = signal.Signals(number).name
        # print() may be in the middle of a line when a signal comes, and is not made for being called again then.
        with suppress(OSError):  # nobody reads it
            os.write(2, f"edu_align: {name}: stopping at the end of this step; once more ends at once\n".encode())

    @contextmanager
    def at_step_ends(self) -> Iterator[None]:
        """Inside the block the first signal waits for the end of the step. One that came too late for it ends here."""
        self.training = True
        try:
            yield
        finally:
            self.training = False
        if self.number is not None:
            raise Interrupted(self.number)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """A `Stop` that the signals ask while the block runs; outside of the main thread none of them reaches it."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, _: Any) -> None:
        if stop.number is not None:
            for each in before:
                signal.signal(each, signal.SIG_DFL)  # a third time is not ours to handle
        stop.ask(number)

    free = [number for number in WARNINGS if signal.getsignal(number) == signal.SIG_DFL]
    before = {number: signal.signal(number, handle) for number in (*SIGNALS, *free)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
