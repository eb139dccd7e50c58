"""Handing jobs to Hydra's launchers, and running several at once where the sweep trains in this process."""

import os
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from edu_align.errors import UserError
from edu_align.sweeps.job import VARIABLE, begin, failed, finished, sign_of_life
from edu_align.sweeps.progress import Progress, told
from edu_align.sweeps.state import Job, SweepFolder

SEQUENTIAL = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
ELSEWHERE = 4  # trials that TPE chooses at once for launchers that do not say how many they run


def made(context: Any, task: Any, config: DictConfig) -> Any:
    """The launcher that the config names. Errors: the package that it comes from is not installed."""
    from hydra.core.plugins import Plugins

    if str(config.hydra.launcher._target_).endswith(".SlurmLauncher") and find_spec("submitit") is None:
        chosen = config.hydra.runtime.choices.get("hydra/launcher")
        raise UserError(f'`hydra/launcher={chosen}` needs submitit: pip install "edu_align[sweep]".')
    return Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=config)


def is_sequential(config: DictConfig) -> bool:
    return str(config.hydra.launcher._target_) == SEQUENTIAL


def at_once(config: DictConfig) -> int:
    """How many trials a search that learns from results hands out together."""
    if config.sweep.batch is not None:
        return int(config.sweep.batch)
    if is_sequential(config):
        return int(config.sweep.concurrent)
    workers = config.hydra.launcher.get("n_jobs")
    if workers is None:
        return ELSEWHERE
    return int(workers) if workers > 0 else max(1, (os.cpu_count() or 1) + 1 + int(workers))


def loses_together(config: DictConfig) -> str:
    """Why jobs on this config's device end sooner one after the other, "" where a stacked pass fills idle units.

    `python -m benchmarks concurrent_adapters` measures it.
    """
    from edu_align.models.device import resolve

    device = resolve(OmegaConf.to_object(config.hardware)).device  # type: ignore[arg-type]
    return "a CPU computes one job with all its cores, and several at once are slower" if device == "cpu" else ""


class Launching:
    """Runs jobs of one sweep with the launcher that was chosen; their files say how they ended."""

    def __init__(self, config: DictConfig, loader: Any, launcher: Any, folder: SweepFolder, progress: Progress) -> None:
        self.config, self.loader, self.launcher = config, loader, launcher
        self.folder, self.progress = folder, progress

    def run(self, numbers: list[int]) -> None:
        """Return when the launcher is through with all of them. Raises what the launcher raises."""
        jobs = [self.folder.job(number) for number in numbers]
        if not is_sequential(self.config):
            with self.progress.watching():
                self.launcher.launch([self._words(job) for job in jobs], numbers[0])
            return
        if self.config.sweep.concurrent > 1 and len(jobs) > 1:
            self._together(jobs)
            return
        for job in jobs:
            print(f"edu_align: job {job['number']}: {told(job['values'])}", flush=True)
            self.launcher.launch([self._words(job)], job["number"])
            self.progress.say()

    def _words(self, job: Job) -> list[str]:
        """The job's overrides, and where its file is."""
        path = self.folder.job_path(job["number"]).absolute()
        return [
            *job["overrides"],
            f"hydra.sweep.dir={quoted(self.folder.path)}",
            f"++hydra.job.env_set.{VARIABLE}={quoted(path)}",
        ]

    def _together(self, jobs: list[Job]) -> None:
        """Train up to `sweep.concurrent` jobs at once in this process, those that can. Wrong configs fail alone."""
        from edu_align.together.grouping import groups_of

        ready = []
        for job in jobs:
            path = self.folder.job_path(job["number"])
            try:
                ready.append((path, job, self._config(job)))
            except Exception as error:
                begin(path, job)
                failed(path, job, error, 0.0)
        configs = [config for *_, config in ready]
        slower = loses_together(configs[0]) if configs else ""
        for group in groups_of(configs, most=1 if slower else self.config.sweep.concurrent):
            self._group([ready[index] for index in group.indices], slower or group.reason)
            self.progress.say()

    def _config(self, job: Job) -> DictConfig:
        from hydra.core.hydra_config import HydraConfig

        from edu_align.config.load import settled

        config = self.loader.load_sweep_config(self.config, self._words(job))
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        return settled(config)

    def _group(self, group: list[tuple[Path, Job, DictConfig]], reason: str) -> None:
        """Train these jobs together and write how each ended; `reason` is why one is alone."""
        from edu_align.caching.memory import free
        from edu_align.run import objective
        from edu_align.together import run_together

        numbers = ", ".join(str(job["number"]) for _, job, _ in group)
        said = f"job {numbers} alone: {reason}" if reason else f"jobs {numbers} at once"
        print(f"edu_align: {said}", flush=True)
        began = time.monotonic()
        for path, job, _ in group:
            begin(path, job)
        results: list[Any]
        try:
            with sign_of_life([path for path, *_ in group]):
                results = list(run_together([config for *_, config in group]))
        except BaseException as error:
            for path, job, _ in group:
                failed(path, job, error, time.monotonic() - began)
            if not isinstance(error, Exception):
                raise
            return
        for (path, job, config), result in zip(group, results, strict=True):
            try:
                if isinstance(result, BaseException):
                    raise result
                job |= {"run": result.path.name, "run_id": result.record.get("id")}
                finished(path, job, objective(config.objective, result), time.monotonic() - began, config.objective)
            except Exception as error:
                failed(path, job, error.with_traceback(None), time.monotonic() - began)
        free()


def quoted(path: Path) -> str:
    """A path as the value of a Hydra override."""
    return "'" + str(path).replace("\\", "\\\\").replace("'", "\\'") + "'"
