"""`python -m torture`: KILLS kills (50 where the environment does not say) at moments drawn by SEED (0), and a table.

Exit code 1 where a run that was killed left other bytes than the one that was not.
"""

import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from edu_align.runs.environment import machine
from edu_align.utils.errors import UserError
from edu_align.utils.program import program
from torture.kills import Tally, configurations, moments, torture
from torture.process import preload

COLUMNS = ("configuration", "kills", "resumes", "damaged", "steps lost", "differing bytes")


@program
def main() -> None:
    kills, seed = _number("KILLS", 50), _number("SEED", 0)
    print(f"torture: {kills} kills at random moments, seed {seed}, {machine()}", flush=True)
    began = time.monotonic()
    preload()
    with tempfile.TemporaryDirectory() as folder:
        tallies = torture(configurations(), kills, seed, Path(folder), lambda line: print(line, flush=True))
    print(table(tallies))
    runs = sum(tally.runs for tally in tallies)
    print(f"torture: {runs} runs were killed and finished, in {time.monotonic() - began:.0f} s")
    if any(tally.differing for tally in tallies):
        sys.exit(1)


def table(tallies: list[Tally]) -> str:
    """One line a configuration, and their sums."""
    rows = [[t.name, t.kills, t.resumes, t.damaged, t.lost, t.differing] for t in tallies]
    sums = ["all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])]
    cells = [list(COLUMNS), *([str(cell) for cell in row] for row in [*rows, sums])]
    widths = [max(len(row[i]) for row in cells) for i in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    hit: Counter[str] = sum((tally.hit for tally in tallies), Counter())
    return "\n".join([*lines, f"killed in: {moments(hit)}"])


def _number(name: str, otherwise: int) -> int:
    """A whole number from the environment. Errors: it is none, or below 0."""
    given = os.environ.get(name, str(otherwise))
    if not given.isdecimal():
        raise UserError(f"`{name}` must be a whole number from 0 on, got {given!r}. For example: {name}={otherwise}.")
    return int(given)


if __name__ == "__main__":
    main()
