"""What a sweep's folder says, and who may write it.

outputs/sweeps/<name>/
  sweep.json       {name, command, sampler, objective, direction, keys, state, started, updated, total, versions ...}
  jobs/0000.json   one file a job, written by the process that runs it, whole or not at all:
                   {number, overrides, values, state, run, run_id, objective, error, host, pid, seconds ...}
  log.txt          what was printed, the lines of a job of another process with its number
  .lock            held by the one process that hands out jobs
State of a job: waiting | running | finished | failed | pruned | interrupted.
"""

import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from edu_align.config.keys import stated
from edu_align.runs.folder import problem_of, read_stored
from edu_align.utils.errors import UserError
from edu_align.utils.files import read_json, remove_left_over, write_json
from edu_align.utils.hashing import sha256

Job = dict[str, Any]
LEFT_SECONDS = 60.0  # a file that was written aside for longer is nobody's: a job of another machine may write one now


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


class SweepFolder:
    """A sweep's folder; `record` is what sweep.json says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record: dict[str, Any] = read_json(path / "sweep.json") or {}

    def save(self, **changes: Any) -> None:
        self.record.update(changes, updated=now())
        write_json(self.path / "sweep.json", self.record)

    def job_path(self, number: int) -> Path:
        return self.path / "jobs" / f"{number:04d}.json"

    def job(self, number: int) -> Job:
        return read_json(self.job_path(number)) or {"number": number, "state": "waiting"}

    def jobs(self) -> list[Job]:
        """Every job, by number."""
        found = [read_json(path) for path in (self.path / "jobs").glob("*.json")]
        return sorted((job for job in found if job is not None), key=lambda job: job["number"])

    def add(self, number: int, overrides: list[str], values: dict[str, Any]) -> Job:
        """Write a job that waits."""
        job = waiting(number, overrides, values)
        self.job_path(number).parent.mkdir(parents=True, exist_ok=True)
        update(self.job_path(number), job)
        return job

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only process that hands out this sweep's jobs. Errors: another one is."""
        from filelock import FileLock, Timeout

        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            record = read_json(self.path / "sweep.json") or {}
            raise UserError(
                f"The sweep {self.path.name} is running already, on {record.get('host')} as process "
                f"{record.get('pid')}. Wait for it, stop it, or set sweep.name=<another name>."
            ) from None
        try:
            for place in (self.path, self.path / "jobs"):
                remove_left_over(place, since=LEFT_SECONDS)
            yield
        finally:
            lock.release()


def waiting(number: int, overrides: list[str], values: dict[str, Any]) -> Job:
    """A job that was never started."""
    job: Job = {"number": number, "overrides": overrides, "values": values, "state": "waiting", "run": None}
    return job | {"run_id": None, "objective": None, "error": None, "host": None, "pid": None, "seconds": None}


def update(path: Path, job: Job, **changes: Any) -> None:
    """Change `job` and write its file. NaN and infinity become null, which is all that JSON has for them."""
    job.update(changes)
    value = job.get("objective")
    if value is not None and not math.isfinite(value):
        job["objective"] = None
    write_json(path, job)


def is_done(job: Job, outputs: Path) -> bool:
    """Whether a job needs no launch: it was pruned, or finished and its run is still there, finished and whole."""
    if job.get("state") == "pruned":
        return True
    if job.get("state") != "finished":
        return False
    if job.get("run") is None:
        return job.get("objective") is not None
    run = read_stored(outputs / "runs" / job["run"])
    return run is not None and run.state == "finished" and problem_of(run, outputs) is None


def is_bookkeeping(key: str) -> bool:
    """Whether a key changes where things go or how fast, and not what is computed: the same sweep goes on with others.

    `in_sweep_name=False` in config/schema.py says so of a key or of its group.
    """
    names = ("hydra", *stated("outside_sweep_name"))
    return any(key == name or key.startswith((f"{name}.", f"{name}/")) for name in names)


def sweep_digest(config: DictConfig, swept: dict[str, str], rows: Sequence[Sequence[str]] = ()) -> str:
    """64 hex digits of the config without bookkeeping and of what is swept: `{key: values as they were typed}`.

    `rows`: the lines of a file of jobs.
    `config` is the one that Hydra composes for the sweep, with every override but the swept ones.
    """
    plain: Any = OmegaConf.to_container(config, resolve=False)
    kept = {key: value for key, value in plain.items() if not is_bookkeeping(key)}
    if isinstance(kept.get("sweep"), dict):
        kept["sweep"] = {key: value for key, value in kept["sweep"].items() if _counts(f"sweep.{key}", value)}
    searched = [[key, "".join(text.split())] for key, text in swept.items() if not is_bookkeeping(key.lstrip("+~"))]
    asked = [kept, searched, *([[*map(list, rows)]] if rows else [])]
    text = json.dumps(asked, sort_keys=True, ensure_ascii=False, default=str)
    return sha256(text)


def _counts(key: str, value: Any) -> bool:
    """Whether a key of `sweep` is in a sweep's digest; one that came later than digests did only with its own value."""
    later = stated("later").get(key)
    return not is_bookkeeping(key) and (later is None or [value] != [*later])


def default_name(choices: dict[str, Any], digest: str) -> str:
    """`beta_lr-1a2b3c4d`: the preset, or else trainer and data set, where each is one; then 8 digits of the digest."""
    parts = [choices.get("sweep")] if choices.get("sweep") else [choices.get("trainer"), choices.get("dataset")]
    words = [str(part) for part in parts if part and "," not in str(part) and str(part).isidentifier()]
    return "-".join([*(words or ["sweep"]), digest[:8]])
