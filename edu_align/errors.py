"""The one kind of error that a user can mend, and how it is printed."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_USER_ERROR = 2


class UserError(Exception):
    """A bad input: names the key or row, the value received and the fix.

    Entry points print it as one message without a traceback and end with exit code 2.
    """


@contextmanager
def user_errors(prefix: str = "edu_align") -> Iterator[None]:
    """Turn a `UserError` raised inside the block into one message on stderr and exit code 2."""
    try:
        yield
    except UserError as error:
        print(f"{prefix}: error: {error}", file=sys.stderr)
        raise SystemExit(EXIT_USER_ERROR) from None


def entry_point(main: Callable[[], None]) -> None:
    """Run `main` as a command line program whose user errors end with exit code 2."""
    with user_errors():
        main()
