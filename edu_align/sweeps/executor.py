"""Handing jobs to Hydra's launchers."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from omegaconf import DictConfig

from edu_align.config.arguments import quoted
from edu_align.runs.process import ticking
from edu_align.sweeps.devices import share_out
from edu_align.sweeps.job import VARIABLE
from edu_align.sweeps.state import Job, SweepFolder
from edu_align.sweeps.stopping import stop_reason
from edu_align.utils.errors import UserError

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
        equal = sum(job["state"] == "finished" and job.get("objective") == best["objective"] for job in jobs) - 1
        also = f", as {equal} other{'' if equal == 1 else 's'}" if equal else ""
        values = format_values(best["values"])
        parts.append(f"best {folder.record['objective']} {best['objective']:.4g} ({values}){also}")
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


SEQUENTIAL = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
NEEDS = {".SlurmLauncher": ("submitit", "sweep"), ".RayLauncher": ("ray", "ray")}  # launcher: package, extra
ELSEWHERE = 4  # trials that TPE chooses at once for launchers that do not say how many they run


def make_launcher(context: Any, task: Any, config: DictConfig) -> Any:
    """The launcher that the config names, with a worker for each GPU of the sweep. Errors: the package that it comes
    from is not installed, and those of `share_out`.
    """
    from hydra.core.plugins import Plugins

    chosen, target = config.hydra.runtime.choices.get("hydra/launcher"), str(config.hydra.launcher._target_)
    for launcher, (package, extra) in NEEDS.items():
        if target.endswith(launcher) and find_spec(package) is None:
            raise UserError(f'`hydra/launcher={chosen}` needs {package}: pip install "edu_align[{extra}]".')
    share_out(config)
    return Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=config)


def is_sequential(config: DictConfig) -> bool:
    return str(config.hydra.launcher._target_) == SEQUENTIAL


def parallel_trials(config: DictConfig) -> int:
    """How many trials a search that learns from results hands out together."""
    if config.sweep.batch is not None:
        return int(config.sweep.batch)
    return _at_once(config, ("n_jobs", "parallel"))


def workers(config: DictConfig) -> int:
    """How many jobs the launcher runs at once, as far as its settings say."""
    return _at_once(config, ("n_jobs", "parallel", "array_parallelism"))


def _at_once(config: DictConfig, keys: tuple[str, ...]) -> int:
    if is_sequential(config):
        return 1
    asked = next((value for key in keys if (value := config.hydra.launcher.get(key)) is not None), ELSEWHERE)
    return int(asked) if asked > 0 else max(1, (os.cpu_count() or 1) + 1 + int(asked))


class JobLauncher:
    """Runs jobs of one sweep with the launcher that was chosen; their files say how they ended."""

    def __init__(self, config: DictConfig, loader: Any, launcher: Any, folder: SweepFolder, status: StatusLine) -> None:
        self.config, self.loader, self.launcher = config, loader, launcher
        self.folder, self.status = folder, status

    def run(self, numbers: list[int]) -> None:
        """Return when the launcher is through with all of them. Raises what the launcher raises."""
        jobs = [self.folder.job(number) for number in numbers]
        if not is_sequential(self.config):
            with self.status.watching():
                self.launcher.launch([self._words(job) for job in jobs], numbers[0])
            return
        for job in jobs:
            if stop_reason(self.folder.path):
                return
            print(f"edu_align: job {job['number']}: {format_values(job['values'])}", flush=True)
            self.launcher.launch([self._words(job)], job["number"])
            self.status.show()

    def _words(self, job: Job) -> list[str]:
        """The job's overrides, and where its file is."""
        path = self.folder.job_path(job["number"]).absolute()
        return [
            *job["overrides"],
            f"hydra.sweep.dir={quoted(self.folder.path)}",
            f"++hydra.job.env_set.{VARIABLE}={quoted(path)}",
        ]
