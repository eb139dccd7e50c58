"""Handing jobs to Hydra's launchers, and running several at once where the sweep trains in this process."""

import os
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

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
        size = self.config.sweep.concurrent
        if size > 1 and find_spec("edu_align.together") is None:
            print("edu_align: sweep.concurrent is not here yet; the jobs run one after the other", flush=True)
            size = 1
        for start in range(0, len(jobs), size):
            group = jobs[start : start + size]
            if len(group) > 1:
                self._together(group)
            else:
                print(f"edu_align: job {group[0]['number']}: {told(group[0]['values'])}", flush=True)
                self.launcher.launch([self._words(group[0])], group[0]["number"])
            self.progress.say()

    def _words(self, job: Job) -> list[str]:
        """The job's overrides, and where its file is."""
        path = self.folder.job_path(job["number"]).absolute()
        return [
            *job["overrides"],
            f"hydra.sweep.dir={quoted(self.folder.path)}",
            f"++hydra.job.env_set.{VARIABLE}={quoted(path)}",
        ]

    def _together(self, group: list[Job]) -> None:
        """Train several jobs at once in this process. One whose config is wrong fails alone."""
        from hydra.core.hydra_config import HydraConfig

        from edu_align.config.load import settled
        from edu_align.run import objective
        from edu_align.together import run_together

        began, ready, configs = time.monotonic(), [], []
        for job in group:
            path = self.folder.job_path(job["number"])
            begin(path, job)
            try:
                config = self.loader.load_sweep_config(self.config, self._words(job))
                HydraConfig.instance().set_config(config)
                with open_dict(config):
                    del config["hydra"]
                configs.append(settled(config))
                ready.append((path, job))
            except Exception as error:
                failed(path, job, error, 0.0)
        print(f"edu_align: jobs {', '.join(str(job['number']) for _, job in ready)} at once", flush=True)
        try:
            with sign_of_life([path for path, _ in ready]):
                results = run_together(configs)
        except BaseException as error:
            for path, job in ready:
                failed(path, job, error, time.monotonic() - began)
            if not isinstance(error, Exception):
                raise
            return
        for (path, job), config, result in zip(ready, configs, results, strict=True):
            try:
                if isinstance(result, BaseException):
                    raise result
                job |= {"run": result.path.name, "run_id": result.record.get("id")}
                value = objective(config.objective, result)
                finished(path, job, value, time.monotonic() - began, config.objective)
            except Exception as error:
                failed(path, job, error, time.monotonic() - began)


def quoted(path: Path) -> str:
    """A path as the value of a Hydra override."""
    return "'" + str(path).replace("\\", "\\\\").replace("'", "\\'") + "'"
