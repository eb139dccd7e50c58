"""What a sweep and its jobs left so far, also half way through; and separate runs seen as a sweep."""

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edu_align.config.metrics import comparable, direction_of
from edu_align.runs.folder import DAMAGED, UNREADABLE, StoredRun, problem_of, read_stored
from edu_align.runs.process import is_alive
from edu_align.utils.errors import UserError
from edu_align.utils.files import read_json
from edu_align.utils.words import did_you_mean

Entry = dict[str, Any]  # one measured metric of evaluation.json: value, low, high, n, clusters ...


@dataclass(frozen=True)
class Job:
    """One job. `values`: swept key -> value; `objective` is None until the job has one.

    `metrics` and `entries` (metric -> what evaluation.json says of it) come from the run's folder `run`, and are empty
    where that is gone. `seconds` is wall time, `peak_gib` the process's largest resident memory so far.
    """

    number: int
    overrides: list[str]
    values: dict[str, Any]
    state: str
    run: Path | None = None
    run_id: str | None = None
    objective: float | None = None
    error: str | None = None
    seconds: float | None = None
    peak_gib: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)

    @property
    def ranked(self) -> bool:
        """Whether the job takes part in the choice of the best: finished, with a finite objective."""
        return self.state == "finished" and self.objective is not None and math.isfinite(self.objective)


@dataclass(frozen=True)
class Sweep:
    """A sweep as far as it got. `total` counts planned jobs, of which `jobs` holds those that have a file."""

    name: str
    folder: Path
    keys: list[str]
    jobs: list[Job]
    objective: str
    direction: str  # minimize | maximize
    state: str = "finished"
    sampler: str | None = None
    command: list[str] = field(default_factory=list)
    started: str = ""
    updated: str = ""
    total: int = 0
    pareto: tuple[str, ...] = ()  # further objectives, see pareto.py

    def ranked(self) -> list[Job]:
        """The jobs that can be the best, the best first; of equals the one that came first."""
        sign = -1.0 if self.direction == "maximize" else 1.0
        return sorted((job for job in self.jobs if job.ranked), key=lambda job: sign * float(job.objective or 0))

    def ordered(self) -> list[Job]:
        """All jobs: the ranked ones, then those that run, then the rest by number."""
        ranked = self.ranked()
        order = {"running": 0, "finished": 1, "pruned": 2, "waiting": 4}
        rest = [job for job in self.jobs if not job.ranked]
        return ranked + sorted(rest, key=lambda job: (order.get(job.state, 3), job.number))

    def counts(self) -> dict[str, int]:
        """State -> number of jobs, the planned ones without a file among `waiting`; no state of 0 jobs."""
        found: dict[str, int] = {}
        for job in self.jobs:
            found[job.state] = found.get(job.state, 0) + 1
        if self.total > len(self.jobs):
            found["waiting"] = found.get("waiting", 0) + self.total - len(self.jobs)
        return found


_NUMBER = re.compile(r"[-+]?(0|[1-9]\d*)(\.\d*)?([eE][-+]?\d+)?")
# prefix of a metric in run.json -> part of evaluation.json
PARTS = {"eval/": "after", "before/": "before", "base/": "base"}


def read_sweep(folder: Path, accept: bool = False) -> Sweep:
    """The sweep in `folder`, whose runs lie in ../../runs. Errors: no readable sweep.json.

    A job file that cannot be read becomes a job of the state `unreadable`; a job whose process is gone from this
    machine is `interrupted`, whatever its file says. One whose run's files are not what training left is `damaged`,
    unless `accept`.
    """
    path = folder / "sweep.json"
    record = read_json(path)
    if record is None:
        raise UserError(
            f"{path} {'is no JSON object' if path.is_file() else 'does not exist'}, so {folder} is no sweep. "
            "Give sweep=<name> or a folder under outputs_root/sweeps."
        )
    objective = str(record.get("objective") or "train/loss")
    direction = record.get("direction")
    runs = folder.resolve().parents[1] / "runs"
    jobs = [read_job(file, runs, objective) for file in sorted((folder / "jobs").glob("[0-9]*.json"))]
    jobs = [_looked_at(job, runs.parent, accept) for job in jobs]
    return Sweep(
        name=str(record.get("name") or folder.name),
        folder=folder,
        keys=[str(key) for key in record.get("keys") or dict.fromkeys(key for job in jobs for key in job.values)],
        jobs=sorted(jobs, key=lambda job: job.number),
        objective=objective,
        direction=direction if direction in ("minimize", "maximize") else direction_of(objective),
        state=str(record.get("state", "running")),
        sampler=record.get("sampler"),
        command=[str(word) for word in record.get("command") or []],
        started=str(record.get("started") or ""),
        updated=str(record.get("updated") or ""),
        total=int(record.get("total") or len(jobs)),
        pareto=tuple(map(str, record.get("pareto") or ())),
    )


def read_job(file: Path, runs: Path, objective: str) -> Job:
    """The job of one file under jobs/, with what its run's folder under `runs` adds."""
    record = read_json(file)
    if record is None:
        return Job(int(file.stem), [], {}, UNREADABLE, error=f"{file.name} is no JSON object")
    state, error = str(record.get("state", "waiting")), record.get("error")
    if state == "running" and not is_alive(file, record):
        state, error = "interrupted", error or f"its process {record['pid']} on {record['host']} is gone"
    run = runs / record["run"] if record.get("run") else None
    job = Job(
        number=int(record.get("number", file.stem)),
        overrides=[str(word) for word in record.get("overrides") or []],
        values={str(key): as_number(value) for key, value in (record.get("values") or {}).items()},
        state=state,
        run=run,
        run_id=record.get("run_id"),
        objective=_number(record.get("objective")),
        error=error,
        seconds=_number(record.get("seconds")),
    )
    return job if run is None else with_run(job, run, objective)


def _looked_at(job: Job, outputs: Path, accept: bool) -> Job:
    """`job`, of the state `damaged` where what its finished run left was changed since."""
    stored = None if job.run is None or job.state != "finished" else read_stored(job.run)
    problem = None if stored is None else problem_of(stored, outputs, accept)
    return job if problem is None else replace(job, state=DAMAGED, error=problem)


def with_run(job: Job, run: Path, objective: str) -> Job:
    """`job` with what the folder `run` says: metrics, intervals, time, memory and, for a finished one, `objective`."""
    stored = read_stored(run)
    if stored is None:
        return job
    metrics = {name: value for name, value in stored.metrics.items() if _number(value) is not None}
    evaluation = read_json(run / "evaluation.json") or {}
    value = job.objective if job.objective is not None or job.state != "finished" else metrics.get(objective)
    peaks = [stored.record[key] for key in stored.record if key.startswith("peak")]
    return replace(
        job,
        objective=value,
        run_id=job.run_id or stored.id,
        error=job.error or (stored.record.get("error") if job.state not in ("finished", "running") else None),
        seconds=job.seconds if job.seconds is not None else stored.seconds,
        peak_gib=_number(metrics.get("train/peak_memory_gib", next(iter(peaks), None))),
        metrics=metrics,
        entries=_entries(metrics, evaluation),
        evaluation=evaluation,
    )


def with_objective(sweep: Sweep, objective: str, direction: str | None = None) -> Sweep:
    """`sweep` judged by another metric of its runs. Errors: one that no run has measured."""
    known = sorted({name for job in sweep.jobs for name in job.metrics})
    if objective not in known:
        has = f"They have: {', '.join(known)}." if known else "They have none yet."
        raise UserError(f"`objective={objective}` is no metric of these runs.{did_you_mean(objective, known)} {has}")
    jobs = [replace(job, objective=job.metrics.get(objective)) for job in sweep.jobs]
    return replace(sweep, jobs=jobs, objective=objective, direction=direction or direction_of(objective))


def as_number(value: Any) -> Any:
    """A text that a command line would read as a number, as that number; anything else as it is."""
    if not isinstance(value, str) or not (found := _NUMBER.fullmatch(value)):
        return value
    return float(value) if found[2] or found[3] else int(value)


def _entries(metrics: dict[str, float], evaluation: dict[str, Any]) -> dict[str, Entry]:
    """The metrics that evaluation.json has an interval for. A run measured again since has others: those stay out."""
    found = {}
    for name, value in metrics.items():
        prefix = next((prefix for prefix in PARTS if name.startswith(prefix)), None)
        if prefix is None:
            continue
        entry = (evaluation.get(PARTS[prefix]) or {}).get(name.removeprefix(prefix))
        if not isinstance(entry, dict) or not entry.keys() >= {"value", "low", "high", "n", "clusters"}:
            continue
        if math.isclose(entry["value"], value, rel_tol=1e-9, abs_tol=1e-12):
            found[name] = entry
    return found


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


BOOKKEEPING = ("run_name", "outputs_root", "tracking", "sweep", "force", "preview", "hydra", "objective")
DEFAULT_OBJECTIVE = "train/loss"


def runs_as_sweep(runs: Sequence[StoredRun], folder: Path) -> Sweep:
    """The runs as jobs numbered from 1, in the order given; the report is meant for `folder`.

    The objective is the one that all configs name, else what compares their trainers and all have measured, else
    train/loss. A run without config.yaml has no values.
    """
    configs = [run_config(run.path) for run in runs]
    every = list(dict.fromkeys(key for config in configs for key in config))
    keys = [
        key
        for key in every
        if key.split(".")[0] not in BOOKKEEPING and len({str(config.get(key)) for config in configs if config}) > 1
    ]
    named = {str(config["objective"]) for config in configs if config.get("objective") is not None}
    usual = comparable(dict.fromkeys(str(config.get("trainer.algorithm")) for config in configs if config))
    common = [name for name in usual if all(name in run.metrics for run in runs)]
    objective = named.pop() if len(named) == 1 else next(iter(common), DEFAULT_OBJECTIVE)
    jobs = []
    for number, (run, config) in enumerate(zip(runs, configs, strict=True), start=1):
        values = {key: as_number(config[key]) for key in keys if key in config}
        jobs.append(with_run(Job(number, [], values, run.state, run.path), run.path, objective))
    return Sweep(
        name=f"{len(runs)} runs" if len(runs) > 1 else runs[0].name,
        folder=folder,
        keys=keys,
        jobs=jobs,
        objective=objective,
        direction=direction_of(objective),
        state="running" if any(job.state == "running" for job in jobs) else "finished",
        started=min((run.started for run in runs if run.started), default=""),
        total=len(jobs),
    )


def run_config(run: Path | None) -> dict[str, Any]:
    """`{"trainer.beta": 0.1, ...}` of a run's config.yaml; lists and empty mappings are values. Empty without one."""
    import yaml

    try:
        text = (run / "config.yaml").read_text(encoding="utf-8") if run else ""
        found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, yaml.YAMLError):
        return {}
    return dict(_flattened(found)) if isinstance(found, dict) else {}


def _flattened(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def find_sweep(value: str, outputs: Path) -> Path:
    """The folder of the sweep that `value` names: a folder, or a name under outputs/sweeps."""
    candidates = [Path(value).expanduser(), outputs / "sweeps" / value]
    for folder in candidates:
        if os.path.isfile(folder / "sweep.json"):
            return folder
    known = sorted((file for file in (outputs / "sweeps").glob("*/sweep.json")), key=lambda file: file.stat().st_mtime)
    names = [file.parent.name for file in reversed(known)]
    hint = f" Newest sweeps there: {', '.join(names[:5])}." if names else f" There is none under {outputs / 'sweeps'}."
    raise UserError(
        f"`sweep={value}`: no sweep.json in {candidates[0]} nor in {candidates[1]}.{did_you_mean(value, names)}{hint}"
    )
