"""Jobs of a sweep on SLURM, through submitit: submitted as one array, watched in the queue, requeued on pre-emption.

SLURM sends SIGUSR2 before it takes a machine away or a job's time is over. The run then ends as on SIGTERM, with its
checkpoint saved; submitit puts the job back into the queue, and started again it goes on from there.

The queue is read with squeue, and not with sacct as submitit does: sacct needs an accounting data base, and without
one a killed job would be waited for without end. hydra-submitit-launcher stops waiting at the first job that dies,
which is the other reason to use submitit itself here.
"""

import getpass
import os
import signal
import subprocess
import time
from pathlib import Path
from types import FrameType
from typing import Any

from omegaconf import OmegaConf

from edu_align.sweeps.remote import RemoteJob
from edu_align.sweeps.state import update
from edu_align.utils.errors import UserError
from edu_align.utils.files import read_json, write_json

LOOK = 5.0  # seconds between two looks at the queue
# Settings that submitit has for every cluster; the others belong to SLURM.
SHARED = ("name", "timeout_min", "nodes", "tasks_per_node", "cpus_per_task", "gpus_per_node", "mem_gb")
IDS = "slurm.json"  # in the sweep's folder: job number -> SLURM's id, so that a job is not submitted twice


class Job(RemoteJob):
    """One job as submitit pickles it and the compute node runs it."""

    def __call__(self) -> None:
        requeue = Requeue()
        try:
            self.run()
        finally:
            requeue.if_requested()

    def checkpoint(self) -> Any:
        """What submitit runs after the job was requeued: the same job, which finds its run's checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class Requeue:
    """On SIGUSR2: first the end of the run that SIGTERM brings, its checkpoint saved, then submitit's requeueing."""

    def __init__(self) -> None:
        self.requested = False
        self.submitit: Any = signal.getsignal(signal.SIGUSR2)
        self.before = signal.getsignal(signal.SIGTERM)
        if callable(self.submitit):
            signal.signal(signal.SIGUSR2, self._ask)

    def if_requested(self) -> None:
        if self.requested:
            self.submitit(signal.SIGUSR2, None)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if signal.getsignal(signal.SIGTERM) == self.before:
            self.submitit(number, frame)  # nothing trains yet, so there is nothing to save
            return
        self.requested = True
        os.kill(os.getpid(), signal.SIGTERM)


def submit(jobs: list[Job], params: dict[str, Any]) -> None:
    """Submit what is not in the queue already, and wait until all of `jobs` have left it.

    Errors: there is no SLURM here, or it refuses the settings.
    """
    import submitit

    if queue() is None:
        raise UserError("`hydra/launcher=submitit_slurm` needs SLURM, and squeue does not answer here.")
    folder = Path(str(jobs[0].config.hydra.sweep.dir))
    files = {job.number: job.file for job in jobs}
    place = next(iter(files.values())).parents[1]
    known: dict[str, str] = read_json(place / IDS) or {}
    settings = {key: value for key, value in _plain(params).items() if value is not None}
    timeouts = settings.pop("max_num_timeout", 3)
    executor = submitit.AutoExecutor(place / "slurm", cluster="slurm", slurm_max_num_timeout=timeouts)
    executor.update_parameters(**{key if key in SHARED else f"slurm_{key}": value for key, value in settings.items()})
    here = queue() or set()
    new = [job for job in jobs if known.get(_key(files[job.number])) not in here]
    if new:
        try:
            with executor.batch():
                submitted = [executor.submit(job.packed()) for job in new]
        except submitit.core.utils.FailedJobError as error:
            raise UserError(f"SLURM refused the jobs of {folder}: {' '.join(str(error).split())}") from None
        known |= {_key(files[job.number]): one.job_id for job, one in zip(new, submitted, strict=True)}
        write_json(place / IDS, known)
    wait(place, {path: known[_key(path)] for path in files.values()})


def wait(place: Path, ids: dict[Path, str]) -> None:
    """Return when none of `ids` is in the queue. A job that left it in mid-run gets an error in its file."""
    left = dict(ids)
    while left:
        here = queue()
        gone = [path for path, one in left.items() if here is not None and one not in here]
        for path in gone:
            job = read_json(path)
            if job is not None and job["state"] == "running":
                log = place / "slurm" / f"{left[path]}_0_log.err"
                text = f"SLURM's job {left[path]} ended in mid-run: killed, cancelled, or out of memory. See {log}."
                update(path, job, state="failed", error=text, user_error=False)
            del left[path]
        if left:
            time.sleep(LOOK)


def queue() -> set[str] | None:
    """SLURM's ids of this user's jobs that wait or run; None where squeue does not answer."""
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--user={getpass.getuser()}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return set(answer.stdout.split())


def _key(path: Path) -> str:
    return str(int(path.stem))


def _plain(params: dict[str, Any]) -> dict[str, Any]:
    return {key: OmegaConf.to_container(one) if OmegaConf.is_config(one) else one for key, one in params.items()}
