"""`hydra/launcher=ray`. Hydra imports this on every start, so it imports nothing heavy."""

from collections.abc import Sequence

from hydra.core.utils import JobReturn

from hydra_plugins.edu_align_sweeper._launcher import OwnLauncher


class RayLauncher(OwnLauncher):
    """Hydra's side of jobs on Ray: takes the settings of the launcher and hands them on."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Hand the jobs to Ray and return when the last one has ended."""
        from edu_align.sweeps.ray_cluster import submit
        from edu_align.sweeps.remote import RemoteJob

        submit(self.jobs(RemoteJob, job_overrides, initial_job_idx), self.params)
        return []
