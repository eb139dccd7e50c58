"""The line that says how a sweep goes."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from edu_align.runs.process import ticking
from edu_align.sweeps.state import Job, SweepFolder

LOOK = 2.0  # seconds between two looks at the job files while other processes run them


def best_of(jobs: list[Job], direction: str) -> Job | None:
    """The finished job with the best objective, the first of several; None where none has one."""
    having = [job for job in jobs if job["state"] == "finished" and job.get("objective") is not None]
    sign = 1 if direction == "minimize" else -1
    return min(having, key=lambda job: sign * job["objective"], default=None)


def format_values(values: dict[str, object]) -> str:
    """`trainer.beta=0.1 seed=2`."""
    return " ".join(f"{key}={value}" for key, value in values.items())


def line(folder: SweepFolder, jobs: list[Job], total: int) -> str:
    """`sweep beta_lr-1a2b3c4d: 3 of 8 finished, 1 failed, 1 running, best eval/... 0.71 (trainer.beta=0.1)`."""
    count = Counter(job["state"] for job in jobs)
    parts = [f"{count['finished']} of {total} finished"]
    others = ("failed", "pruned", "interrupted", "running")
    parts += [f"{count[state]} {state}" for state in others if count[state]]
    best = best_of(jobs, folder.record["direction"])
    if best is not None:
        parts.append(f"best {folder.record['objective']} {best['objective']:.4g} ({format_values(best['values'])})")
    return f"sweep {folder.path.name}: {', '.join(parts)}"


class StatusLine:
    """Prints the line where it has changed, and keeps `total` and `updated` in sweep.json."""

    def __init__(self, folder: SweepFolder) -> None:
        self.folder = folder
        self.total = 0
        self._last = ""

    def show(self) -> None:
        text = line(self.folder, self.folder.jobs(), self.total)
        if text != self._last:
            self._last = text
            self.folder.save(total=self.total)
            print(text, flush=True)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look every few seconds while the block waits for other processes."""
        try:
            with ticking(self.show, LOOK):
                yield
        finally:
            self.show()
