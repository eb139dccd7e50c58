"""What a process has once and every run takes for its own, kept apart for threads that take turns.

Random numbers (Python, NumPy, torch), accelerate's gradient state (which data loader is at its end, whether this pass
ends a step), and what is printed: a line that another run has printed already is not repeated, and one bar is drawn.
"""

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from edu_align.random_numbers import random_state, set_random_state


class Voice(io.TextIOBase):
    """A stream for one run: whole lines, those left out that another run was the first to say."""

    def __init__(self, owner: int, said: dict[str, int], stream: TextIO, bars: bool) -> None:
        self.owner, self.said, self.stream, self.bars = owner, said, stream, bars
        self.begun = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if "\r" in text:  # a progress bar draws itself
            if self.bars:
                self.stream.write(text)
            return len(text)
        *lines, self.begun = (self.begun + text).split("\n")
        for line in lines:
            if line and self.said.setdefault(line, self.owner) == self.owner:
                self.stream.write(line + "\n")
        return len(text)

    def flush(self) -> None:
        self.stream.flush()


class World:
    """The world of run number `owner`. `said` is one dictionary for all runs: line -> who said it first."""

    def __init__(self, owner: int, said: dict[str, int]) -> None:
        self.output = Voice(owner, said, sys.stdout, bars=owner == 0)
        self.errors = Voice(owner, said, sys.stderr, bars=owner == 0)
        self.random: dict[str, Any] | None = None
        self.accelerate: dict[str, Any] = {}

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """What is global is this run's inside the block, and what it was before after it."""
        outside = random_state()
        if self.random is not None:
            set_random_state(self.random)
        with contextlib.redirect_stdout(self.output), contextlib.redirect_stderr(self.errors):
            before = _exchange(self.accelerate)
            try:
                yield
            finally:
                self.accelerate = _exchange(before)
                self.random = random_state()
                set_random_state(outside)


def _exchange(new: dict[str, Any]) -> dict[str, Any]:
    """Make `new` the state that all of accelerate's GradientState objects share, and return what it was."""
    from accelerate.state import GradientState

    shared = GradientState._shared_state
    old = dict(shared)
    shared.clear()
    shared.update(new)
    return old
