"""`hydra/launcher=submitit_slurm`. Hydra imports this on every start, so it imports nothing heavy."""

from collections.abc import Sequence

from hydra.core.utils import JobReturn

from hydra_plugins.edu_align_sweeper._launcher import OwnLauncher


class SlurmLauncher(OwnLauncher):
    """Hydra's side of jobs on SLURM: takes the settings of the launcher and hands them on."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit the jobs as one array and return when the last one has left the queue."""
        from edu_align.sweeps.slurm import Job, submit

        submit(self.jobs(Job, job_overrides, initial_job_idx), self.params)
        return []
