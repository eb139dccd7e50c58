"""What a job of a sweep costs beside its training in a process of its own: two workers of joblib, and a Ray of this
machine with two cores, for the 200 tiny jobs of `sweep`.

Counted are seconds of a worker, twice those of the sweep: the start of the sweep, of the workers and of Ray is in them.
"""

from importlib.util import find_spec
from typing import Any

from benchmarks.sweep import many_jobs
from edu_align.utils.errors import UserError

ON_REQUEST = True
WORKERS = 2
JOBLIB = ("hydra/launcher=joblib", f"hydra.launcher.n_jobs={WORKERS}", "hardware.threads=1")
RAY = (
    "hydra/launcher=ray",
    f"+hydra.launcher.init={{num_cpus:{WORKERS},object_store_memory:80000000}}",
    "hardware.threads=1",
)


def measure() -> list[dict[str, Any]]:
    """A row a launcher. Errors: Ray is not installed."""
    if find_spec("ray") is None:
        raise UserError('the benchmark sweep_launchers needs Ray: pip install "edu_align[ray]".')
    return [
        many_jobs("sweep_tiny_job_joblib_seconds", *JOBLIB, workers=WORKERS),
        many_jobs("sweep_tiny_job_ray_seconds", *RAY, workers=WORKERS),
    ]
