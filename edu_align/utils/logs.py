"""What a process prints, kept in a file besides; and the number of a job before each line of several at once.

A log holds whole lines. Of a bar that is drawn over and over, the last state before a line's end is left. Secrets are
taken out. What cannot be written takes nothing from the work.
"""

import os
import re
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from edu_align.utils.errors import UserError
from edu_align.utils.secrets import redacted

LOG = "log.txt"  # of a run, and of a sweep
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
Take = Callable[[str], None]


class Lines:
    """Cuts what is written, piece by piece, into lines and hands them on; a carriage return begins the line anew."""

    def __init__(self, take: Take) -> None:
        self.take = take
        self.part = ""

    def write(self, text: str) -> None:
        *lines, rest = (self.part + text).split("\n")
        self.part = rest.rpartition("\r")[2] if "\r" in rest.rstrip("\r") else rest
        for line in lines:
            self.take(line.rstrip("\r").rpartition("\r")[2])

    def end(self) -> None:
        """Hand on a last line without an end."""
        if self.part.strip("\r"):
            self.write("\n")


class Copied:
    """`stream`, whose lines are also handed to `take`, until `end`. Who holds it after that, as a library's logging
    that was set up in between, writes to what stands in its place then: sys.stdout or sys.stderr, by `name`.
    """

    def __init__(self, stream: Any, take: Take, name: str) -> None:
        self.stream, self.lines, self.name = stream, Lines(take), name
        self.ended = False

    def end(self) -> None:
        self.lines.end()
        self.ended = True

    def now(self) -> Any:
        """Where it writes to."""
        other = getattr(sys, self.name)
        return other if self.ended and other not in (None, self) else self.stream

    def write(self, text: str) -> int:
        self.now().write(text)
        if not self.ended:
            self.lines.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.now(), name)


class Tagged(Copied):
    """`stream`, on which each line begins with a tag. Lines are written whole, and bars are not drawn."""

    def __init__(self, stream: Any, tag: str, take: Take, name: str) -> None:
        super().__init__(stream, lambda line: self._say(f"{tag}{line}"), name)
        self.also = take

    def _say(self, line: str) -> None:
        self.stream.write(f"{line}\n")
        self.stream.flush()
        self.also(line)

    def write(self, text: str) -> int:
        if self.ended:
            return super().write(text)
        self.lines.write(text)
        return len(text)

    def isatty(self) -> bool:
        return False


class Log:
    """Lines on their way to a file, which may be named later: those before are kept until then."""

    def __init__(self) -> None:
        self.before: list[str] | None = []
        self.path: Path | None = None

    def into(self, path: Path) -> None:
        """From here on lines are added to the file `path`, those so far first, below the command."""
        self.path = path
        held, self.before = self.before or [], None
        self.take(f"--- {time.strftime('%Y-%m-%dT%H:%M:%S%z')} {shlex.join(sys.argv)}")
        for line in held:
            self.take(line)

    def take(self, line: str) -> None:
        if self.before is not None:
            self.before.append(line)
        elif self.path is not None:
            try:
                append(self.path, line)
            except OSError:  # a full disk, a folder that is gone: who needs the disk says so
                self.path = None


def append(path: Path, line: str) -> None:
    """Add a line to a file that several processes may write: in one piece."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, f"{redacted(_COLOURS.sub('', line))}\n".encode(errors="replace"))
    finally:
        os.close(descriptor)


@contextmanager
def kept() -> Iterator[Log]:
    """Copy what this process prints inside the block to a `Log`; also the error that ends it."""
    log = Log()
    with _replaced(lambda stream, name: Copied(stream, log.take, name)):
        try:
            yield log
        except BaseException as error:
            crash = isinstance(error, Exception) and not isinstance(error, UserError)
            text = traceback.format_exc().rstrip() if crash else f"{type(error).__name__}: {error}"
            for line in text.split("\n"):
                log.take(line)
            raise


@contextmanager
def tagged(tag: str, log: Path | None) -> Iterator[None]:
    """Begin each line that this process prints inside the block with `tag`, and add it to the file `log`."""

    def take(line: str) -> None:
        if log is not None:
            with suppress(OSError):
                append(log, line)

    with _replaced(lambda stream, name: Tagged(stream, tag, take, name)):
        yield


@contextmanager
def _replaced(made: Callable[[Any, str], Copied]) -> Iterator[None]:
    before = {name: stream for name in ("stdout", "stderr") if (stream := getattr(sys, name)) is not None}
    copies = {name: made(stream, name) for name, stream in before.items()}
    for name, copy in copies.items():
        setattr(sys, name, copy)
    try:
        yield
    finally:
        for name, copy in copies.items():
            if getattr(sys, name) is copy:
                setattr(sys, name, before[name])
            copy.end()
