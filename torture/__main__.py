"""`python -m torture`: KILLS kills (50 where the environment does not say) at moments drawn by SEED (0), and a table.
`python -m torture sharded` does it to runs of several processes that share the weights.

Exit code 1 where a run that was killed left other bytes than the one that was not, with as many processes.
"""

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from edu_align.runs.environment import machine
from edu_align.utils.errors import UserError
from edu_align.utils.program import program
from torture.kills import Tally, configurations, moments, sharded_configurations, torture
from torture.process import preload

COLUMNS = ("configuration", "kills", "resumes", "damaged", "steps lost", "differing bytes")
SHARDED = ("configuration", "processes", *COLUMNS[1:], "a loss differs by", "a weight by")


@program
def main() -> None:
    kills, seed, sharded = _number("KILLS", 50), _number("SEED", 0), _is_sharded(sys.argv[1:])
    print(f"torture: {kills} kills at random moments, seed {seed}, {machine()}", flush=True)
    began = time.monotonic()
    preload()
    chosen = sharded_configurations() if sharded else configurations()
    with tempfile.TemporaryDirectory() as folder:
        tallies = torture(chosen, kills, seed, Path(folder), lambda line: print(line, flush=True))
    print(sharded_table(tallies) if sharded else table(tallies))
    runs = sum(tally.runs for tally in tallies)
    print(f"torture: {runs} runs were killed and finished, in {time.monotonic() - began:.0f} s")
    if any(tally.differing for tally in tallies):
        sys.exit(1)


def table(tallies: list[Tally]) -> str:
    """One line a configuration, and their sums."""
    rows = [[t.name, *_counted(t), t.differing] for t in tallies]
    sums = ["all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])]
    return _written([COLUMNS, *rows, sums], tallies)


def sharded_table(tallies: list[Tally]) -> str:
    """The same of runs of several processes: bytes where as many go on, otherwise how far numbers are apart."""
    rows: list[Sequence[object]] = []
    for t in tallies:
        first, then = t.processes
        far = ("", "") if first == then else (f"{t.apart.loss:.1e}", f"{t.apart.weight:.1e}")
        rows.append([t.name, f"{first} to {then}", *_counted(t), t.differing if first == then else "", *far])
    sums = [sum(column) for column in zip(*(_counted(t) for t in tallies), strict=True)]
    most = [f"{max(getattr(t.apart, name) for t in tallies):.1e}" for name in ("loss", "weight")]
    rows.append(["all", "", *sums, sum(t.differing for t in tallies), *most])
    together = sum(t.together for t in tallies)
    return f"{_written([SHARDED, *rows], tallies)}\nof all processes at once: {together} of {sums[0]} kills"


def _counted(tally: Tally) -> list[int]:
    return [tally.kills, tally.resumes, tally.damaged, tally.lost]


def _written(rows: Sequence[Sequence[object]], tallies: list[Tally]) -> str:
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    hit: Counter[str] = sum((tally.hit for tally in tallies), Counter())
    return "\n".join([*lines, f"killed in: {moments(hit)}"])


def _is_sharded(words: list[str]) -> bool:
    """Whether runs of several processes are killed. Errors: another word."""
    if words not in ([], ["sharded"]):
        raise UserError(f"`python -m torture` takes the word `sharded` or none, got {' '.join(words)!r}.")
    return bool(words)


def _number(name: str, otherwise: int) -> int:
    """A whole number from the environment. Errors: it is none, or below 0."""
    given = os.environ.get(name, str(otherwise))
    if not given.isdecimal():
        raise UserError(f"`{name}` must be a whole number from 0 on, got {given!r}. For example: {name}={otherwise}.")
    return int(given)


if __name__ == "__main__":
    main()
