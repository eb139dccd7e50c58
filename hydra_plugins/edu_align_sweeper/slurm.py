"""`hydra/launcher=submitit_slurm`. Hydra imports this on every start, so it imports nothing heavy."""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class SlurmLauncher(Launcher):
    """Hydra's side of jobs on SLURM: takes the settings of the launcher and hands them on."""

    def __init__(self, **params: Any) -> None:
        self.params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit the jobs as one array and return when the last one has left the queue."""
        from edu_align.sweeps.slurm import Job, submit

        jobs = [
            Job(self.context, self.task, self.config, list(words), initial_job_idx + index)
            for index, words in enumerate(job_overrides)
        ]
        submit(jobs, self.params)
        return []
