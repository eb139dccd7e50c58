"""How far long work is: a bar in a terminal, and in a log file a line now and then.

All bars are tqdm's, also those of libraries, so one method of tqdm's decides for all of them.
"""

import sys
import time
from typing import Any

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
