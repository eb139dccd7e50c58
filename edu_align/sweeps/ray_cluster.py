"""Jobs of a sweep on Ray: one task each, handed to whatever machine has the cores and GPUs that it asks for.

Ray sets CUDA_VISIBLE_DEVICES of a task that asks for GPUs, queues what does not fit, and starts a task again whose
machine or process is lost: the job goes on from its run's checkpoint. What a job leaves lies in outputs_root, on a disk
that all machines see under one path; nothing is sent back through Ray. hydra-ray-launcher is not used: its requirements
exclude a current joblib, and it gives up a sweep at the first task that dies.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from edu_align.runs.process import is_alive, who
from edu_align.sweeps.job import RELAYED
from edu_align.sweeps.remote import RemoteJob
from edu_align.sweeps.state import update
from edu_align.utils.errors import UserError, first_line
from edu_align.utils.files import read_json

LOCAL = "local"  # Ray's word for one of its own on this machine
GRACE = 60.0  # seconds that tasks have for their checkpoints where the sweep is interrupted
LOOK = 1.0  # seconds between two looks at the tasks
# Nothing of a sweep is reported to anyone, and no line of a job is left out for being like another job's.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}

TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")  # other places of the token


def submit(jobs: list[RemoteJob], params: dict[str, Any]) -> None:
    """Run the jobs as tasks, and return when the last one has ended. Errors: no Ray at the address, what it refuses."""
    settings: dict[str, Any] = {
        key: OmegaConf.to_container(one) if OmegaConf.is_config(one) else one for key, one in params.items()
    }
    _environment(settings.get("address"))
    import ray

    _join(settings)
    task = ray.remote(**_options(settings))(_run)
    waiting, running = list(reversed(jobs)), dict[Any, Any]()
    most = settings.get("parallel") or len(jobs)
    try:
        while waiting or running:
            while waiting and len(running) < most:
                job = waiting.pop().packed()
                running[task.remote(job, os.getcwd(), sys.path)] = job
            ended, _ = ray.wait(list(running), num_returns=1, timeout=LOOK)
            for one in ended:
                _end(ray, one, running.pop(one))
    except BaseException:
        for one in running:
            ray.cancel(one, force=False)  # as Ctrl-C: a run ends its step and keeps its checkpoint
        ray.wait(list(running), num_returns=len(running), timeout=GRACE) if running else None
        raise


def _environment(address: str | None) -> None:
    """What Ray reads as it is imported. `ray start` asks for the token in the home folder where there is one, which any
    local Ray writes; who joins has to be told to show it.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    known = Path.home() / ".ray" / "auth_token"
    if address is not None and (known.is_file() or any(name in os.environ for name in TOKENS)):
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _join(settings: dict[str, Any]) -> None:
    """Join the cluster, or start one on this machine, once a process. Errors: there is none, or it cannot be joined."""
    import ray

    if ray.is_initialized():
        return
    address = settings.get("address") or LOCAL
    more: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
    more |= settings.get("init") or {}
    try:
        ray.init(address=address, runtime_env=settings.get("runtime_env") or None, **more)
    except (ConnectionError, ValueError, TypeError, RuntimeError) as error:
        raise UserError(
            f"`hydra.launcher.address={settings.get('address')}`: no Ray can be joined there ({first_line(error)}). "
            "Start one with `ray start --head`, give its address, or set hydra.launcher.address=null for one of this "
            "machine alone."
        ) from None


def _options(settings: dict[str, Any]) -> dict[str, Any]:
    """Ray's options of a task. With GPUs each task has a process of its own, because CUDA keeps what it began with."""
    memory = settings.get("memory_gb")
    found = {
        "num_cpus": settings["num_cpus"], "num_gpus": settings["num_gpus"], "max_retries": settings["max_retries"],
        "resources": settings.get("resources") or None, "memory": None if memory is None else int(memory * 2**30),
        "max_calls": 1 if settings["num_gpus"] else None,
    }  # fmt: skip
    return {key: value for key, value in found.items() if value is not None}


def _run(job: RemoteJob, folder: str, path: list[str]) -> None:
    """In Ray's worker. A task that Ray starts again waits until the process before gives no more sign of life."""
    sys.path.extend(place for place in path if place not in sys.path)
    if os.path.isdir(folder):
        os.chdir(folder)
    os.environ[RELAYED] = "1"
    file = job.file
    while (known := read_json(file)) and known.get("pid") != who()["pid"] and is_alive(file, known, watch=True):
        time.sleep(LOOK)
    job.run()


def _end(ray: Any, task: Any, job: RemoteJob) -> None:
    """What a task that has ended means for its job. Errors: Ray could not run it at all."""
    try:
        ray.get(task)
        return
    except ray.exceptions.RayError as error:
        reason = first_line(error)
    known = read_json(job.file)
    if known is None:
        raise UserError(
            f"Ray's worker does not see {job.file} ({reason}). outputs_root must lie on a disk that all machines see."
        )
    if known["state"] in ("running", "waiting"):
        text = f"Ray's task ended in mid-run: {reason}"
        update(job.file, known, state="failed", error=text, user_error=False)
