"""One job of a sweep, in the process that runs it, whatever launched it: what happens to it goes into its file."""

import math
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edu_align.errors import EXIT_USER_ERROR, UserError
from edu_align.secrets import redacted
from edu_align.sweeps.pruning import Pruned
from edu_align.sweeps.state import HEARTBEAT, Job, is_alive, now, read_json, update, who

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from edu_align.runs.folder import RunFolder

VARIABLE = "EDU_ALIGN_JOB"  # path of the job's file, in the environment of the job
_running: list[tuple[Path, Job]] = []  # the job of this process; a list, so that it can be told without a global


def current() -> tuple[Path, Job] | None:
    """File and content of the job that this process runs; None outside a sweep."""
    return _running[-1] if _running else None


def note_run(folder: "RunFolder") -> None:
    """Say in the job's file which run it is, as soon as that is known. Nothing outside a sweep."""
    here = current()
    if here is not None and folder.writes:
        update(*here, run=folder.path.name, run_id=folder.record.get("id"))


def run_recorded(run: "Callable[[DictConfig], Any]", cfg: "DictConfig", path: Path) -> float | None:
    """`run(settled config)`, with state, objective and error in the job's file `path`.

    What the job raises ends here, so that the others go on whatever the launcher does with errors; an interruption
    goes on through. Returns the objective, or None where there is none.
    """
    from edu_align.config.load import settled

    job = read_json(path)
    if job is None:
        raise UserError(f"The sweep's file of this job, {path}, is gone. Type the command again.")
    if is_alive(path, job) and job["pid"] != who()["pid"]:
        print(f"edu_align: job {job['number']} runs already, on {job['host']} as {job['pid']}", flush=True)
        return None
    began = time.monotonic()
    begin(path, job)
    _running.append((path, job))
    try:
        with sign_of_life([path]):
            value = run(settled(cfg))
    except BaseException as error:
        ended = failed(path, job, error, time.monotonic() - began)
        if ended == "interrupted":
            raise
        value = None
    else:
        finished(path, job, value, time.monotonic() - began, str(cfg.get("objective")))
    finally:
        _running.pop()
    if job["state"] == "failed" and "torch" in sys.modules:
        from edu_align.caching.memory import free

        free()  # the error held all of the run
    return value if job["state"] == "finished" else None


def begin(path: Path, job: Job) -> None:
    """The job runs here from now on; an error of an earlier attempt moves to `attempts`."""
    if job.get("error"):
        job["attempts"] = [*job.get("attempts", []), job["error"]]
    update(path, job, state="running", started=now(), error=None, objective=None, user_error=False, **who())


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
    told = isinstance(error, UserError)  # by a message that says all
    by_user = isinstance(error, UserError) and error.exit_code == EXIT_USER_ERROR
    state = "pruned" if isinstance(error, Pruned) else "failed" if isinstance(error, Exception) else "interrupted"
    text = redacted(str(error) if told or state == "pruned" else f"{type(error).__name__}: {error}".strip(": "))
    update(path, job, state=state, error=text, user_error=by_user, seconds=round(seconds, 3))
    if state == "failed":
        print(f"edu_align: job {job['number']} failed: {text}", file=sys.stderr, flush=True)
        if not told:
            traceback.print_exception(error, file=sys.stderr)
    return state


@contextmanager
def sign_of_life(paths: list[Path]) -> Iterator[None]:
    """Touch the jobs' files every few seconds inside the block, so that other machines see that they run."""
    over = threading.Event()

    def touch() -> None:
        while not over.wait(HEARTBEAT):
            for path in paths:
                if path.exists():
                    path.touch()

    thread = threading.Thread(target=touch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
