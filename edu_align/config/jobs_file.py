"""`sweep.jobs_file`: jobs of a sweep written one by one, each line the words that a command line would have.

trainer.beta=0.1 trainer.learning_rate=1e-4
trainer.beta=0.3 adapter.rank=8               # what stands behind a # is left out
"""

import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from edu_align.config.arguments import key_of
from edu_align.config.text import hydra_words
from edu_align.utils.errors import UserError, first_line


class JobLine(NamedTuple):
    """A line's `number`, counted from 1, and its words as Hydra reads them."""

    number: int
    words: tuple[str, ...]


def read_jobs(path: str, folders: Sequence[Path], given: Collection[str] = ()) -> list[JobLine]:
    """The jobs of a file. `folders` hold the presets; `given` are the keys that the command line or a preset sets.

    Errors: no such file, no job in it, a word that is not key=value or stands twice, one that is given elsewhere too.
    """
    file = Path(path).expanduser()
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UserError(
            f"`sweep.jobs_file={path}` cannot be read ({said}). Give a text file with a line of overrides for each job."
        ) from None
    found = []
    for number, line in enumerate(lines, start=1):
        where = f"`sweep.jobs_file={path}`, line {number}"
        words = _words(line, where)
        if not words:
            continue
        keys = [key_of(word) for word in words]
        if wrong := [word for word in words if "=" not in word.strip("~+")[1:] or word.startswith(("-", "~"))]:
            raise UserError(f"{where}: {wrong[0]!r} is no key=value. Write what a command line would have.")
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise UserError(f"{where}: {twice[0]} stands there twice. Give each key once.")
        if own := [key for key in keys if key.partition(".")[0].partition("/")[0] in ("hydra", "sweep")]:
            raise UserError(f"{where}: {own[0]} is of the whole sweep. Give it on the command line.")
        if both := [key for key in keys if key in given]:
            raise UserError(
                f"{where}: {both[0]} is set on the command line or by the preset too. Take it out of one of them."
            )
        found.append(JobLine(number, tuple(hydra_words(words, folders, several=False))))
    if not found:
        raise UserError(f"`sweep.jobs_file={path}` has no job in it. Write a line of overrides for each, as {EXAMPLE}.")
    return found


EXAMPLE = "trainer.beta=0.1 trainer.learning_rate=1e-4"


def _words(line: str, where: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError as error:
        raise UserError(f"{where} cannot be read ({first_line(error)}). Close the quotes.") from None
