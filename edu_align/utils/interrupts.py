"""Signals that end a command: one line, wherever they come, and exit code 128 + the signal's number.

While a command works they are exceptions, so that what is under way is tidied up. Before and after that there is
nothing to tidy up, and Python would show where it happened to be.
"""

import os
import select
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from edu_align.utils.errors import Interrupted

EXIT_INTERRUPTED = 128 + signal.SIGINT
STOPPED = "interrupted"
ENDING = (signal.SIGTERM, signal.SIGHUP)  # besides Ctrl-C


class CtrlC(KeyboardInterrupt):
    """A class of its own, because Python ends with -2 where a plain one goes through `exec`, as dataclasses use it."""


def end_at_once() -> None:
    """From here on these signals end the process where it stands."""
    signal.signal(signal.SIGINT, _end)
    for number in ENDING:
        if signal.getsignal(number) == signal.SIG_DFL:  # under nohup SIGHUP is ignored, and stays so
            signal.signal(number, _end)


@contextmanager
def as_exception() -> Iterator[None]:
    """Ctrl-C raises `CtrlC` in the block and the others `Interrupted`, unless the caller has a handler of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours: dict[int, object] = {signal.SIGINT: _raise, **dict.fromkeys(ENDING, _stop)}
    default = (signal.default_int_handler, signal.SIG_DFL, _end)
    before = {number: handler for number in ours if (handler := signal.getsignal(number)) in default}
    for number in before:
        signal.signal(number, ours[number])  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def cause_of_end(error: BaseException) -> BaseException | None:
    """The signal that `error` came from, as an exception; None where none did.

    Libraries make an error of their own of it while they are imported.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, KeyboardInterrupt | Interrupted):
            return cause
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return None


def leave_gone_terminal() -> None:
    """What is written to a terminal that has been closed goes nowhere from here on, instead of being an error."""
    for stream in (1, 2):
        with suppress(OSError):
            look = select.poll()
            look.register(stream, 0)
            if stat.S_ISCHR(os.fstat(stream).st_mode) and look.poll(0):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream)
                os.close(nowhere)


def _raise(*_: object) -> NoReturn:
    raise CtrlC


def _stop(number: int, _: object) -> NoReturn:
    leave_gone_terminal()
    raise Interrupted(number)


def _end(number: int, _: object) -> NoReturn:
    said = STOPPED if number == signal.SIGINT else str(Interrupted(number))
    with suppress(OSError):  # nobody reads it
        os.write(2, f"edu_align: {said}\n".encode())
    os._exit(128 + number)
