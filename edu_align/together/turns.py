"""Threads that take turns: one runs, all others wait, and a turn ends with a question or with the thread.

    whoever leads     resume(answer) ------------------> | runs |  <- question, or None at its end
    the thread        ask(question)  -> waits ... answer | runs on

So nothing that is global (random numbers, accelerate's state, what TRL patches) is used by two at a time, and a thread
that dies cannot leave another one waiting. No wait is without an end: each looks every second whether the other side is
still there.
"""

import math
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

LOOK_SECONDS = 1.0  # between two looks whether the other side lives
STOP_SECONDS = 60.0  # a thread that was told to stop gets to come to its next question


class Raised:
    """An answer that is raised where it was asked for."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


class Turns:
    """A thread that runs `work` in turns. `result` and `error` are set when it has ended."""

    def __init__(self, work: Callable[[], Any], name: str) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self.ended = False
        self._questions: SimpleQueue[Any] = SimpleQueue()
        self._answers: SimpleQueue[Any] = SimpleQueue()
        self._leader = threading.current_thread()
        self._thread = threading.Thread(target=self._run, args=(work,), name=name, daemon=True)

    def resume(self, answer: Any = None) -> Any:
        """Let it run until it asks, and return the question; None when it has ended."""
        if self.ended:
            return None
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._answers.put(answer)
        return self._next()

    def ask(self, question: Any) -> Any:
        """In the thread: end this turn, and return the answer that opens the next one. Errors: what was `Raised`."""
        self._questions.put(question)
        while True:
            try:
                answer = self._answers.get(timeout=LOOK_SECONDS)
                break
            except Empty:
                if not self._leader.is_alive():
                    raise RuntimeError("the thread that leads the training has ended") from None
        if isinstance(answer, Raised):
            raise answer.error
        return answer

    def stop(self, error: BaseException) -> None:
        """Raise `error` at its next question, and wait for its end, at most `STOP_SECONDS`."""
        if self.ended or self._thread.ident is None:
            self.ended = True
            return
        until = time.monotonic() + STOP_SECONDS
        self._answers.put(Raised(error))
        while not self.ended and time.monotonic() < until:
            if self._next(until) is not None:
                self._answers.put(Raised(error))

    def _next(self, until: float = math.inf) -> Any:
        while time.monotonic() < until:
            try:
                question = self._questions.get(timeout=LOOK_SECONDS)
            except Empty:
                if self._thread.is_alive() or not self._questions.empty():
                    continue
                question = _END
            if question is not _END:
                return question
            self._thread.join(LOOK_SECONDS)
            self.ended = True
            return None
        return None

    def _run(self, work: Callable[[], Any]) -> None:
        try:
            self.result = work()
        except BaseException as error:
            self.error = error
        finally:
            self._questions.put(_END)
