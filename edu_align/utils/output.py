"""stdout and stderr of a command whose reader may go away: `python -m edu_align.plan | head -1`.

What then cannot be written ends the command as SIGPIPE ends other programs. The signal itself stays ignored, because a
connection to a server that breaks would raise it too.
"""

import errno
import io
import os
import signal
import sys
from typing import Any

EXIT_READER_GONE = 128 + signal.SIGPIPE
OVER = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # nothing can be written there any more
_leaving: list[bool] = []  # one entry once the command has ended


class ReaderGone(SystemExit):
    """Nobody reads the output any more. It is an interruption and no error, so what is under way is kept."""

    def __init__(self) -> None:
        super().__init__(EXIT_READER_GONE)

    def __str__(self) -> str:
        return "nobody reads the output any more"


class GuardedStream(io.TextIOWrapper):
    """A stream that says once that its reader is gone (`ReaderGone`) or its disk full (OSError); what follows goes
    nowhere.

    A sign that its encoding does not have is written out (`\\xe9`).
    """

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._failed(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        if error.errno not in OVER and not _leaving:
            raise error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        if not _leaving:
            raise ReaderGone if error.errno == errno.EPIPE else error


def guard_output() -> None:
    """Put a `GuardedStream` in the place of stdout and stderr where they are this process' own and no terminal."""
    _leaving.clear()
    sys.stdout, sys.stderr = _guarded(sys.stdout, sys.__stdout__), _guarded(sys.stderr, sys.__stderr__)


def leave_output() -> None:
    """What is written from here on, by the interpreter as it ends, is no reason to end with another code."""
    _leaving.append(True)


def flush_output() -> None:
    """Errors: `ReaderGone`; OSError where the disk is full."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _guarded(stream: Any, own: Any) -> Any:
    if stream is None or stream is not own or not isinstance(stream, io.TextIOWrapper) or stream.isatty():
        return stream
    stream.flush()
    errors = "backslashreplace" if stream.errors == "strict" else stream.errors
    through = stream.write_through
    raw = open(stream.fileno(), "wb", buffering=0 if through else -1, closefd=False)  # noqa: SIM115
    return GuardedStream(raw, stream.encoding, errors, "\n", stream.line_buffering, through)
