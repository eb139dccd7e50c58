"""The errors that end a command without a traceback; `utils/program.py` prints them."""

import os
import signal
from typing import Any

EXIT_CRASH = 1
EXIT_USER_ERROR = 2


class UserError(Exception):
    """A bad input: names the key or row, the value received and the fix.

    Every command prints it as one message without a traceback and ends with exit code 2. What of the message cannot be
    written as UTF-8 (half of a surrogate pair) is written out.
    """

    exit_code = EXIT_USER_ERROR

    def __init__(self, message: str) -> None:
        super().__init__(message.encode("utf-8", "backslashreplace").decode())


class RunFailed(UserError):
    """A run that its own numbers ended, although nothing was wrong with its input: one message, exit code 1.

    `facts` goes into run.json beside the message.
    """

    exit_code = EXIT_CRASH

    def __init__(self, message: str, facts: dict[str, Any]) -> None:
        super().__init__(message)
        self.facts = facts


class SomeFailed(UserError):
    """Some of several failed, each as a text, such as jobs of a sweep; the others are done. Exit code 2 where all
    of them were user errors, else 1.
    """

    def __init__(self, texts: list[str], by_user: bool, noun: str = "job", became: str = "failed") -> None:
        lines = [text.replace("\n", "\n  ") for text in texts]
        count = f"1 {noun}" if len(texts) == 1 else f"{len(texts)} {noun}s"
        super().__init__("\n  - ".join([f"{count} {became}:", *lines]))
        self.exit_code = EXIT_USER_ERROR if by_user else EXIT_CRASH


class Interrupted(SystemExit):
    """Somebody asks to stop. The exit code is the convention's: 128 and the signal's number (130, 143, 129, 138).

    `said`: whether its user has been told already.
    """

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number
        super().__init__(self.exit_code)
        self.number = number
        self.said = False

    def __str__(self) -> str:
        return f"asked to stop by {signal.Signals(self.number).name}"


def folder_gone() -> UserError | None:
    """The error where the folder that this process works in was removed, so that no relative path leads anywhere."""
    try:
        os.stat(".")
        os.getcwd()
    except FileNotFoundError:
        return UserError(
            "the folder that this command was started in is gone. cd to one that is there, and give the command again."
        )
    return None


def first_line(error: BaseException, limit: int = 200) -> str:
    """At most `limit` characters of an error's first line; its class where it has no text."""
    return (str(error).strip() or type(error).__name__).split("\n")[0][:limit]
