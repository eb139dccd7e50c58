"""Searches whose jobs are known from the start: grid and random."""

import json
from collections import defaultdict
from collections.abc import Iterable

from edu_align.sweeps.space import Dimension, values_of
from edu_align.sweeps.state import Job, SweepFolder, update


class ListSearch:
    """Every job of a list. A job that the folder has already, by its values, keeps its number."""

    def __init__(self, folder: SweepFolder, space: list[Dimension], jobs: Iterable[list[str]]) -> None:
        kept: dict[str, list[Job]] = defaultdict(list)
        for job in folder.jobs():
            kept[_key(job["values"])].append(job)
        free = max((job["number"] + 1 for same in kept.values() for job in same), default=0)
        self.folder = folder
        self.numbers: list[int] = []
        for overrides in jobs:
            values = values_of(overrides, space)
            if kept[_key(values)]:
                job = kept[_key(values)].pop(0)
                if job["overrides"] != overrides and job["state"] != "running":
                    update(folder.job_path(job["number"]), job, overrides=overrides)
            else:
                job = folder.add(free, overrides, values)
                free += 1
            self.numbers.append(job["number"])
        self.total = len(self.numbers)

    def next(self, left: set[int]) -> list[int]:
        """Numbers of the jobs to launch now, out of those that are `left`."""
        return [number for number in self.numbers if number in left]

    def tell(self, job: Job) -> None:
        """Nothing is learnt from a job's end."""


def _key(values: dict[str, object]) -> str:
    return json.dumps(values, sort_keys=True, default=str)
