"""The command line of `report`: key=value words, and the sweep or the runs that they name. Imports nothing heavy."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from edu_align.config.arguments import key_values
from edu_align.errors import UserError
from edu_align.sweeps.reporting.jobs import Sweep
from edu_align.utils.suggest import did_you_mean, listed

KEYS = ("sweep", "runs", "split", "objective", "direction", "output", "last", "outputs_root")
SPLITS = ("test", "validation")
DIRECTIONS = ("minimize", "maximize")


def parse(arguments: Sequence[str]) -> dict[str, str]:
    """`{key: value}` of the command line. Errors: a word that is none of KEYS, is given twice, or is empty."""
    words = key_values(arguments, KEYS, "sweep")
    _check(words)
    return words


def subject(words: dict[str, str], outputs: Path) -> Sweep:
    """The sweep that `sweep` names, or the runs of `runs` as one. Errors: it does not exist, with the nearest name."""
    if "sweep" in words:
        from edu_align.sweeps.reporting.reading import read_sweep

        return read_sweep(find_sweep(words["sweep"], outputs))
    from edu_align.runs.store import find_stored
    from edu_align.sweeps.reporting.comparison import compare

    names = run_names(words["runs"])
    runs = find_stored("runs", names, outputs)
    digest = hashlib.sha256("\n".join(str(run.path.resolve()) for run in runs).encode()).hexdigest()[:8]
    return compare(runs, outputs / "reports" / f"{len(runs)}-runs-{digest}")


def run_names(text: str) -> list[str]:
    """`[a, b]` or `a,b` as names. Errors: none, or one twice."""
    names = [name.strip().strip("'\"") for name in text.removeprefix("[").removesuffix("]").split(",")]
    names = [name for name in names if name]
    if not names:
        raise UserError(f"`runs={text}` names no run. Give runs=[<run>,<run>].")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"`runs={text}` names {twice[0]} twice. Name each run once.")
    return names


def find_sweep(value: str, outputs: Path) -> Path:
    """The folder of the sweep that `value` names: a folder, or a name under outputs/sweeps."""
    candidates = [Path(value).expanduser(), outputs / "sweeps" / value]
    for folder in candidates:
        if (folder / "sweep.json").is_file():
            return folder
    known = sorted((file for file in (outputs / "sweeps").glob("*/sweep.json")), key=lambda file: file.stat().st_mtime)
    names = [file.parent.name for file in reversed(known)]
    hint = f" Newest sweeps there: {', '.join(names[:5])}." if names else f" There is none under {outputs / 'sweeps'}."
    raise UserError(
        f"`sweep={value}`: no sweep.json in {candidates[0]} nor in {candidates[1]}.{did_you_mean(value, names)}{hint}"
    )


def _check(words: dict[str, str]) -> None:
    if "sweep" in words and "runs" in words:
        raise UserError("`sweep` and `runs` are both given. Give one of them.")
    if "sweep" not in words and "runs" not in words:
        for key in ("objective", "direction", "output"):
            if key in words:
                raise UserError(f"`{key}={words[key]}` needs a sweep or runs. Give sweep=<name> or runs=[<run>,<run>].")
    elif "last" in words:
        raise UserError("`last` belongs to the list of all runs. Leave it out, or leave out sweep and runs.")
    if "split" in words and ("runs" not in words or "objective" in words or "direction" in words):
        raise UserError(
            f"`split={words['split']}` belongs to what the suite measured. Give it with runs=[<run>,<run>] alone."
        )
    if words.get("split", SPLITS[0]) not in SPLITS:
        raise UserError(
            f"`split` must be {listed(SPLITS)}, got {words['split']!r}.{did_you_mean(words['split'], SPLITS)}"
        )
    if words.get("direction", DIRECTIONS[0]) not in DIRECTIONS:
        raise UserError(
            f"`direction` must be {listed(DIRECTIONS)}, got {words['direction']!r}."
            f"{did_you_mean(words['direction'], DIRECTIONS)}"
        )
    if not words.get("last", "0").isdecimal():
        raise UserError(f"`last` must be a whole number, 0 for all runs, got {words['last']!r}.")
