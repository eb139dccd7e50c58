"""A sweep and its jobs as tables and pictures read them."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Entry = dict[str, Any]  # one measured metric of evaluation.json: value, low, high, n, clusters ...


@dataclass(frozen=True)
class Job:
    """One job. `values`: swept key -> value; `objective` is None until the job has one.

    `metrics` and `entries` (metric -> what evaluation.json says of it) come from the run's folder `run`, and are empty
    where that is gone. `seconds` is wall time, `peak_gib` the process's largest resident memory so far.
    """

    number: int
    overrides: list[str]
    values: dict[str, Any]
    state: str
    run: Path | None = None
    run_id: str | None = None
    objective: float | None = None
    error: str | None = None
    seconds: float | None = None
    peak_gib: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)

    @property
    def ranked(self) -> bool:
        """Whether the job takes part in the choice of the best: finished, with a finite objective."""
        return self.state == "finished" and self.objective is not None and math.isfinite(self.objective)


@dataclass(frozen=True)
class Sweep:
    """A sweep as far as it got. `total` counts planned jobs, of which `jobs` holds those that have a file."""

    name: str
    folder: Path
    keys: list[str]
    jobs: list[Job]
    objective: str
    direction: str  # minimize | maximize
    state: str = "finished"
    sampler: str | None = None
    command: list[str] = field(default_factory=list)
    started: str = ""
    updated: str = ""
    total: int = 0

    def ranked(self) -> list[Job]:
        """The jobs that can be the best, the best first; of equals the one that came first."""
        sign = -1.0 if self.direction == "maximize" else 1.0
        return sorted((job for job in self.jobs if job.ranked), key=lambda job: sign * float(job.objective or 0))

    def ordered(self) -> list[Job]:
        """All jobs: the ranked ones, then those that run, then the rest by number."""
        ranked = self.ranked()
        order = {"running": 0, "finished": 1, "pruned": 2, "waiting": 4}
        rest = [job for job in self.jobs if not job.ranked]
        return ranked + sorted(rest, key=lambda job: (order.get(job.state, 3), job.number))

    def counts(self) -> dict[str, int]:
        """State -> number of jobs, the planned ones without a file among `waiting`; no state of 0 jobs."""
        found: dict[str, int] = {}
        for job in self.jobs:
            found[job.state] = found.get(job.state, 0) + 1
        if self.total > len(self.jobs):
            found["waiting"] = found.get("waiting", 0) + self.total - len(self.jobs)
        return found
