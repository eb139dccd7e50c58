"""Ctrl-C in a command: one line, wherever it comes.

While a command works it is an exception, so that what is under way is tidied up. Before and after that there is nothing
to tidy up, and Python would show where it happened to be.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

EXIT_INTERRUPTED = 128 + signal.SIGINT
STOPPED = "interrupted"


class CtrlC(KeyboardInterrupt):
    """A class of its own, because Python ends with -2 where a plain one goes through `exec`, as dataclasses use it."""


def end_at_once() -> None:
    """From here on Ctrl-C ends the process where it stands."""
    signal.signal(signal.SIGINT, _end)


@contextmanager
def as_exception() -> Iterator[None]:
    """Ctrl-C raises `CtrlC` in the block, unless the caller has a handler of its own."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    if not main or before not in (signal.default_int_handler, _end):
        yield
        return
    signal.signal(signal.SIGINT, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def came_from_interrupt(error: BaseException) -> bool:
    """Whether Ctrl-C is what `error` came from: libraries make an error of their own of it while they are imported."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, KeyboardInterrupt):
            return True
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return False


def _raise(*_: object) -> NoReturn:
    raise CtrlC


def _end(*_: object) -> NoReturn:
    os.write(2, f"edu_align: {STOPPED}\n".encode())
    os._exit(EXIT_INTERRUPTED)
