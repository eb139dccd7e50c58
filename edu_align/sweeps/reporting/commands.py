"""The commands that a report gives its reader: talk to the best run, train it again, measure it on the test split."""

import shlex
from pathlib import Path

from edu_align.reporting.files import place
from edu_align.sweeps.reporting.jobs import Job, Sweep

TRAIN = "python -m edu_align.train"
OF_THE_SWEEP = ("sweep", "hydra", "force", "run_name")  # what a single run is not given; `force` is set here


def chat(run: Path) -> str:
    return f"python -m edu_align.chat run={shlex.quote(place(run))}"


def measure(run: Path, split: str) -> str:
    return f"python -m edu_align.evaluate run={shlex.quote(place(run))} evaluation.split={split}"


def again(sweep: Sweep, job: Job) -> str:
    """Train the job once more from the start, beside what is there: the words of the sweep's command, then its own."""
    own = {key_of(word) for word in job.overrides}
    kept = [word for word in sweep.command if "=" in word and not word.startswith("-")]
    kept = [word for word in kept if key_of(word) not in own and key_of(word) not in sweep.keys]
    words = [
        word for word in [*kept, *job.overrides] if key_of(word).replace("/", ".").split(".")[0] not in OF_THE_SWEEP
    ]
    return " ".join([TRAIN, *map(shlex.quote, words), "force=true"])


def whole(sweep: Sweep) -> str:
    """The sweep's own command, which goes on where it stopped; empty where it is not known.

    A command that begins with the program's file, as sys.argv does, is written with `python -m` in its place.
    """
    words = list(sweep.command)
    if words and Path(words[0]).name.startswith("python"):
        return shlex.join(words)
    return " ".join([TRAIN, *map(shlex.quote, words[1:] if words[0].endswith(".py") else words)]) if words else ""


def key_of(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")
