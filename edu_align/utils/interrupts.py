"""Ctrl-C, SIGTERM and SIGHUP in a command: one line, wherever they come.

While a command works they are exceptions, so that what is under way is tidied up. Before and after that there is
nothing to tidy up, and Python would show where it happened to be.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from edu_align.utils.errors import Interrupted
from edu_align.utils.output import leave_terminal

EXIT_INTERRUPTED = 128 + signal.SIGINT
STOPPED = "interrupted"
ENDING = (signal.SIGTERM, signal.SIGHUP)  # a shell's `kill`, and a terminal that was closed


class CtrlC(KeyboardInterrupt):
    """A class of its own, because Python ends with -2 where a plain one goes through `exec`, as dataclasses use it."""


def end_at_once() -> None:
    """From here on these signals end the process where it stands, with their line and their code."""
    signal.signal(signal.SIGINT, _end)
    for number in ENDING:
        if signal.getsignal(number) == signal.SIG_DFL:  # `nohup` says that SIGHUP is to be ignored
            signal.signal(number, _end)


@contextmanager
def as_exception() -> Iterator[None]:
    """Ctrl-C raises `CtrlC` in the block, and SIGTERM and SIGHUP `Interrupted`, unless the caller has a handler of its
    own, or `nohup` said that SIGHUP is to be ignored.
    """
    ours: dict[signal.Signals, Any] = {
        signal.SIGINT: (_raise, signal.default_int_handler),
        **dict.fromkeys(ENDING, (_ask_to_end, signal.SIG_DFL)),
    }
    before: dict[signal.Signals, Any] = {}
    with suppress(ValueError):  # only the main thread can take signals
        for number, (handler, default) in ours.items():
            if signal.getsignal(number) in (default, _end):
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_code_of(error: BaseException) -> int | None:
    """128 and the number of the signal that `error` came from, None where it came from none: libraries make an error of
    their own of it while they are imported.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, KeyboardInterrupt):
            return EXIT_INTERRUPTED
        if isinstance(cause, Interrupted):
            return cause.exit_code
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return None


def _raise(*_: object) -> NoReturn:
    raise CtrlC


def _ask_to_end(number: int, frame: FrameType | None) -> NoReturn:
    leave_terminal()
    raise Interrupted(number)


def _end(number: int, _: object) -> NoReturn:
    said = STOPPED if number == signal.SIGINT else str(Interrupted(number))
    with suppress(OSError):  # nobody reads it
        os.write(2, f"edu_align: {said}\n".encode())
    os._exit(128 + number)
