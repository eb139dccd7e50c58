"""One job of a sweep, in the process that runs it, whatever launched it: what happens to it goes into its file.

A job that does worse than others did at the same step may be given up (successive halving, Li et al. 2018): the search
that made the job puts what this needs into its file (`prune`).
"""

import math
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edu_align.runs.folder import NO_LISTENER, RunFolder, RunListener
from edu_align.runs.process import heartbeat, is_alive, machine, runs_here, who
from edu_align.sweeps.devices import take
from edu_align.sweeps.state import Job, now, update
from edu_align.sweeps.stopping import stop_reason
from edu_align.utils.errors import EXIT_USER_ERROR, UserError
from edu_align.utils.files import read_json
from edu_align.utils.logs import LOG, tagged
from edu_align.utils.parent import end_with_parent
from edu_align.utils.secrets import redacted

if TYPE_CHECKING:
    from omegaconf import DictConfig

VARIABLE = "EDU_ALIGN_JOB"  # path of the job's file, in the environment of the job
RELAYED = "EDU_ALIGN_RELAYED"  # in that of a job whose lines come back to the sweep's process, which keeps them
_listeners: list[RunListener] = [NO_LISTENER]  # the last one is that of the job of this process


class Pruned(KeyboardInterrupt):
    """A job is given up. It is an interruption and no error: its run can be taken up again, and cleans up the same."""

    def __init__(self, metric: str, step: int, value: float) -> None:
        super().__init__(f"pruned at step {step}, with {metric} = {value:g}")


class JobListener(RunListener):
    """Keeps in the job's file which run it is, and asks the search whether to go on."""

    def __init__(self, path: Path, job: Job) -> None:
        self.path, self.job = path, job
        self.objective = (read_json(path.parents[1] / "sweep.json") or {}).get("objective")

    def run_started(self, folder: RunFolder) -> None:
        if folder.writes:
            update(self.path, self.job, run=folder.path.name, run_id=folder.record.get("id"))

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Raises `Pruned`."""
        prune = self.job.get("prune")
        if prune is None or prune["metric"] not in values:
            return
        from edu_align.sweeps.tpe import should_prune

        value = float(values[prune["metric"]])
        if should_prune(self.path.parents[1], prune, step, value):
            raise Pruned(prune["metric"], step, value)


def listener() -> RunListener:
    """That of the job that this process runs; `NO_LISTENER` outside a sweep."""
    return _listeners[-1]


def run_recorded(run: "Callable[[DictConfig], Any]", cfg: "DictConfig", path: Path) -> float | None:
    """`run` on the resolved config, with state, objective and error in the job's file `path`.

    What the job raises ends here, so that the others go on whatever the launcher does with errors; an interruption
    goes on through. Returns the objective, or None where there is none.
    """
    job = read_json(path)
    if job is None:
        raise UserError(f"The sweep's file of this job, {path}, is gone. Type the command again.")
    if is_alive(path, job, watch=True) and job["pid"] != who()["pid"]:
        print(f"edu_align: job {job['number']} runs already, on {job['host']} as {job['pid']}", flush=True)
        return None
    if stop_reason(path.parents[1]):
        return None  # the sweep says so, once
    with _numbered(path, job):
        return _recorded(run, cfg, path, job)


def _recorded(run: "Callable[[DictConfig], Any]", cfg: "DictConfig", path: Path, job: Job) -> float | None:
    from edu_align.config.compose import settled

    gpu = take(read_json(path.parents[1] / "sweep.json") or {})
    began = time.monotonic()
    begin(path, job)
    if gpu is not None:
        update(path, job, gpu=gpu)
    _end_with_sweep(path)
    _listeners.append(JobListener(path, job))
    try:
        with heartbeat(path):
            value = run(settled(cfg))
    except BaseException as error:
        ended = failed(path, job, error, time.monotonic() - began)
        if ended == "interrupted":
            raise
        value = None
    else:
        finished(path, job, value, time.monotonic() - began, str(listener().objective))
    finally:
        _listeners.pop()
    if job["state"] == "failed" and "torch" in sys.modules:
        from edu_align.utils.memory import free

        free()  # the error held all of the run
    return value if job["state"] == "finished" else None


def _numbered(path: Path, job: Job) -> AbstractContextManager[None]:
    """In a process of its own, a job's lines begin with its number: those of several come mixed. On the sweep's machine
    they are in its log, too.
    """
    sweep = read_json(path.parents[1] / "sweep.json") or {}
    here = sweep.get("machine") == machine()
    if here and sweep.get("pid") == os.getpid():
        return nullcontext()
    logs = here and RELAYED not in os.environ
    return tagged(f"[job {job['number']}] ", path.parents[1] / LOG if logs else None)


def _end_with_sweep(path: Path) -> None:
    """Where the sweep's own process started this one, as joblib does, it ends with it; SLURM's jobs do not."""
    sweep = read_json(path.parents[1] / "sweep.json") or {}
    if sweep.get("machine") != machine() or sweep["pid"] == os.getpid() or "SLURM_JOB_ID" in os.environ:
        return
    if os.getppid() == sweep["pid"] or not runs_here(sweep["pid"], sweep["began"], sweep["ticks"]):
        end_with_parent(sweep["pid"], busy=lambda: len(_listeners) > 1)


def begin(path: Path, job: Job) -> None:
    """The job runs here from now on; an error of an earlier attempt moves to `attempts`."""
    if job.get("error"):
        job["attempts"] = [*job.get("attempts", []), job["error"]]
    call = (read_json(path.parents[1] / "sweep.json") or {}).get("call")
    update(path, job, call=call, state="running", started=now(), error=None, objective=None, user_error=False, **who())


def finished(path: Path, job: Job, value: Any, seconds: float, metric: str) -> None:
    """The job ended by itself. An objective that is not a finite number makes it a failure."""
    took = round(seconds, 3)
    if value is None or (isinstance(value, int | float) and math.isfinite(value)):
        update(path, job, state="finished", objective=value, seconds=took)
    else:
        text = f"`objective={metric}` is {value}, which cannot be compared. Lower trainer.learning_rate."
        update(path, job, state="failed", error=text, seconds=took)


def failed(path: Path, job: Job, error: BaseException, seconds: float) -> str:
    """The job ended by `error`; returns the state that it is in now: failed, pruned or interrupted."""
    explained = isinstance(error, UserError)  # its message says all
    by_user = isinstance(error, UserError) and error.exit_code == EXIT_USER_ERROR
    state = "pruned" if isinstance(error, Pruned) else "failed" if isinstance(error, Exception) else "interrupted"
    text = redacted(str(error) if explained or state == "pruned" else f"{type(error).__name__}: {error}".strip(": "))
    update(path, job, state=state, error=text, user_error=by_user, seconds=round(seconds, 3))
    if state == "failed":
        print(f"edu_align: job {job['number']} failed: {text}", file=sys.stderr, flush=True)
        if not explained:
            traceback.print_exception(error, file=sys.stderr)
    return state
