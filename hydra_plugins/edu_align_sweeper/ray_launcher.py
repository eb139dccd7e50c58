"""`hydra/launcher=ray`. Hydra imports this on every start, so it imports nothing heavy."""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class RayLauncher(Launcher):
    """Hydra's side of jobs on Ray: takes the settings of the launcher and hands them on."""

    def __init__(self, **params: Any) -> None:
        self.params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Hand the jobs to Ray and return when the last one has ended."""
        from edu_align.sweeps.ray_cluster import submit
        from edu_align.sweeps.remote import RemoteJob

        jobs = [
            RemoteJob(self.context, self.task, self.config, list(words), initial_job_idx + index)
            for index, words in enumerate(job_overrides)
        ]
        submit(jobs, self.params)
        return []
