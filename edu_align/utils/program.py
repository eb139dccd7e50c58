"""How every command ends: on an interruption, on a reader that goes away, and on what its user can mend.

`program` goes around the `main` of each module that is run with `python -m`; a new command has nothing else to do.
"""

import atexit
import gc
import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import NoReturn

from edu_align.utils.errors import Interrupted, UserError, folder_gone
from edu_align.utils.interrupts import EXIT_INTERRUPTED, STOPPED, as_exception, exit_code_of
from edu_align.utils.output import flush_output, guard_output, leave_output, quiet_imports

SPINS = "1000"  # see `benchmarks/busy.py`


def share_processors() -> None:
    """Let threads that wait for each other sleep after a short spin. It must be said before torch is loaded.

    libgomp's own spin is long, so that a neighbour on the machine slows both many times. What the user's environment
    says of waiting stays.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPINS


def program(main: Callable[[], None]) -> Callable[[], None]:
    """`main` as a command line program; `SystemExit` passes through.

    A `UserError`, a full or read-only disk and memory that runs out are one message and exit code 2. Ctrl-C is one line
    and 130, wherever it comes; SIGTERM (143) and SIGHUP (129) alike. A reader of the output that goes away (`| head`)
    ends it quietly with 141. Any other error is a fault of the program and keeps its traceback.
    """

    @wraps(main)
    def run() -> None:
        guard_output()
        share_processors()
        if not asks_for_help(sys.argv):  # whose answer imports nothing, not even logging
            quiet_imports()
        gc.disable()  # until a model is loaded: the rounds while libraries are imported take seconds and find nothing
        try:
            with as_exception():
                if gone := folder_gone():
                    raise gone
                main()
                flush_output()
        except SystemExit as error:
            if isinstance(error, Interrupted) and not error.said:
                _end(str(error), error.exit_code)
            flush_output()
            raise
        except KeyboardInterrupt:
            _end(STOPPED, EXIT_INTERRUPTED)
        except Exception as error:
            if code := exit_code_of(error):
                _end(STOPPED if code == EXIT_INTERRUPTED else str(Interrupted(code - 128)), code)
            told = explanation(error)
            if told is None:
                raise
            from edu_align.utils.secrets import redacted

            _end(f"error: {redacted(str(told))}", told.exit_code)
        finally:
            gc.enable()
            leave_output()

    return run


def asks_for_help(words: Sequence[str]) -> bool:
    """Whether a command line asks for its help rather than for its work."""
    return "--help" in words or "-h" in words


def answers_help(text: str, words: Sequence[str], bare: bool = True) -> bool:
    """Print the help `text` where the words of a command line ask for it, or (`bare`) are none at all, and say so."""
    asked = asks_for_help(words) or (bare and not words)
    if asked:
        print(text, end="")
    return asked


def explanation(error: Exception) -> UserError | None:
    """The error as one that its user can mend; None where it is a fault of the program."""
    if isinstance(error, UserError):
        return error
    from edu_align.utils.files import disk_error
    from edu_align.utils.memory import memory_error

    return disk_error(error) or memory_error(error)


def _end(line: str, code: int) -> NoReturn:
    print(f"edu_align: {line}", file=sys.stderr)
    flush_output()
    atexit.register(gc.freeze)  # Python would look through all that was imported once more: a tenth of a typo's time
    raise SystemExit(code) from None
