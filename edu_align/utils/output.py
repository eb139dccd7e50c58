"""stdout and stderr of a command whose reader may go away: `python -m edu_align.plan | head -1`.

What then cannot be written ends the command as SIGPIPE ends other programs. The signal itself stays ignored, because a
connection to a server that breaks would raise it too.
"""

import errno
import io
import os
import signal
import sys
import time
import warnings
from typing import Any

from edu_align.utils.distributed import is_first
from edu_align.utils.errors import UserError

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
    """A stream that says once that its reader is gone (`ReaderGone`) or its disk full (`UserError`); what follows
    goes nowhere.

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
            if error.errno == errno.EPIPE:
                raise ReaderGone
            raise UserError(f"nothing more can be written ({error.strerror}). Make room where this output goes to.")


def guard_output() -> None:
    """Put a `GuardedStream` in the place of stdout and stderr where they are this process' own and no terminal."""
    _leaving.clear()
    sys.stdout, sys.stderr = _guarded(sys.stdout, sys.__stdout__), _guarded(sys.stderr, sys.__stderr__)


def leave_terminal() -> None:
    """What goes to a terminal that was closed goes nowhere from here on: SIGHUP says so, and each word would fail."""
    for descriptor in (1, 2):
        if _hung_up(descriptor):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)


def _hung_up(descriptor: int) -> bool:
    import termios

    try:
        termios.tcgetattr(descriptor)
    except termios.error as error:
        return error.args[0] == errno.EIO
    return False


def leave_output() -> None:
    """What is written from here on, by the interpreter as it ends, is no reason to end with another code."""
    _leaving.append(True)


def flush_output() -> None:
    """Errors: `ReaderGone`; `UserError` where the disk is full."""
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


SECONDS = 30.0  # between two lines of one loop
LEAST_SECONDS = 3.0  # a loop that is over sooner says nothing
SHARE = 0.1  # of a loop, after which it says a line before SECONDS are over


def bars_wanted() -> bool:
    """Whether stderr, where bars are drawn, is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def lines_in_a_log() -> None:
    """From here on a bar of tqdm's that no terminal shows is a line now and then."""
    from tqdm.std import tqdm

    if not bars_wanted():
        tqdm.display = _line_now_and_then  # "Consider overloading this function", says tqdm of it


def say(bar: Any) -> None:
    """A line of this bar now, where bars are lines and its last one said something else."""
    if not bars_wanted() and not bar.disable and bar.n != getattr(bar, "_said", (bar.initial, 0.0))[0]:
        _print(bar)


def line(state: dict[str, Any]) -> str:
    """`training: step 120 of 300 (40 %), loss 0.53, 2 min left` of a bar's `format_dict`."""
    from tqdm.std import tqdm

    done, total = state["n"], state["total"]
    counted = [tqdm.format_sizeof(each) if state["unit_scale"] else str(each) for each in (done, total) if each]
    unit = "" if state["unit"] == "it" else f"{state['unit']} "
    parts = [unit + " of ".join(counted) + (f" ({done / total:.0%})" if total else "")]
    if state["postfix"]:
        parts.append(state["postfix"].replace("=", " "))
    fresh = done - state["initial"]
    if total and fresh > 0 and done < total:
        parts.append(f"{duration(state['elapsed'] / fresh * (total - done))} left")
    return ": ".join(filter(None, [(state["prefix"] or "").removesuffix(": "), ", ".join(parts)]))


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _line_now_and_then(bar: Any, msg: str | None = None, pos: int | None = None) -> None:
    """In the place of `tqdm.display`."""
    bar.leave = False  # what tqdm would leave at a bar's end is an empty line
    if msg is not None or bar.disable:
        return
    said, when = bar.__dict__.setdefault("_said", (bar.n, time.monotonic()))
    waited = time.monotonic() - when
    if waited >= SECONDS or (waited >= LEAST_SECONDS and bar.total and bar.n - said >= SHARE * bar.total):
        _print(bar)


def _print(bar: Any) -> None:
    bar._said = (bar.n, time.monotonic())
    print(f"edu_align: {line(bar.format_dict)}", file=sys.stderr, flush=True)


# Loggers of libraries and the least that they may say: below it are hints about the libraries themselves.
LOGGERS = {"bitsandbytes": "ERROR", "datasets": "ERROR"}


def quiet_imports() -> None:
    """Keep out what libraries say while they are imported; none is imported here."""
    import logging

    for name, least in LOGGERS.items():
        logging.getLogger(name).setLevel(least)
    warnings.filterwarnings("ignore", category=FutureWarning)


def quiet(weights_bar: bool = False) -> None:
    """Keep hints of libraries out of what is printed, before the heavy ones are imported, and their bars out of logs.

    `weights_bar`: still draw the bar of the weights being loaded, which takes minutes at 7B. Only the first process
    draws any.
    """
    quiet_imports()
    if not is_first():
        os.environ["TQDM_DISABLE"] = "1"
    lines_in_a_log()
    import transformers

    transformers.logging.set_verbosity_error()
    if not (weights_bar and bars_wanted()):
        transformers.logging.disable_progress_bar()
