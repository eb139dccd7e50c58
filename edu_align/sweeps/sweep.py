"""A whole sweep: find or make its folder, hand out what is not done, say how it went, in W&B too."""

import os
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from edu_align.config.jobs_file import JobLine, read_jobs
from edu_align.config.metrics import direction_of
from edu_align.config.schema import TrackingConfig
from edu_align.config.sweep_rules import problem_of_jobs_file
from edu_align.config.text import as_argument, for_hydra
from edu_align.reports.sweep import reading
from edu_align.reports.sweep.table import flat
from edu_align.runs.environment import package_versions
from edu_align.runs.finished import adapter_of
from edu_align.runs.folder import find_run
from edu_align.runs.process import is_alive, who
from edu_align.sweeps.executor import LOOK, JobLauncher, StatusLine, format_values, parallel_trials
from edu_align.sweeps.space import Dimension, ListSearch, Together, dimensions, drawn, grid, of_lines, zipped
from edu_align.sweeps.state import Job, SweepFolder, default_name, is_done, now, sweep_digest, update
from edu_align.sweeps.stopping import rule, stop_reason
from edu_align.tracking import GROUP, is_off, start
from edu_align.utils import distributed as processes
from edu_align.utils.errors import Interrupted, SomeFailed, UserError
from edu_align.utils.files import read_json, write_json
from edu_align.utils.interrupts import as_exception
from edu_align.utils.output import ReaderGone

VERSIONS = ("torch", "transformers", "trl", "peft", "optuna")  # what makes a sweep's numbers
FREE = ("adapter.lora_plus_ratio",)  # keys of `adapter` that are free where training goes on from a run
INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it
KEPT = "wandb.json"  # in the sweep's folder: the id of its W&B run
JOB_TYPE = "sweep"
DIED = "its process died without a word: killed, or out of memory"


def run_sweep(config: DictConfig, loader: Any, launcher: Any, words: list[str]) -> None:
    """Run what `words` ask, leaving out what an earlier call has done. Errors: jobs that failed, listed at the end.

    `config` is Hydra's for the sweep; `words` are its overrides, those of `hydra.sweeper.params` first.
    """
    if processes.launched():
        raise UserError(
            "A sweep starts its own runs, and torchrun or accelerate launch started several sweeps. Launch each "
            "run by itself, or sweep with one process a job."
        )
    space = dimensions(for_hydra(words, several=True), loader, config)
    together = zipped(space, list(config.sweep.zip), config.sweep.sampler)
    lines: tuple[tuple[str, ...], ...] = ()
    if config.sweep.jobs_file is not None:
        more, together = of_lines(_lines(config, space))
        space, lines = [*space, *more], together.rows
    check_jobs(config, [one for one in space if one.swept])
    digest = sweep_digest(config, {one.key: one.text for one in space if one.swept}, lines)
    name = config.sweep.name or default_name(dict(config.hydra.runtime.choices), digest)
    folder = SweepFolder(Path(config.hydra.sweep.dir) / name)
    with folder.held():
        Sweep(config, loader, launcher, folder, space, together).run(digest)


def _lines(config: DictConfig, space: list[Dimension]) -> list[JobLine]:
    """The jobs of `sweep.jobs_file`. Errors: those of `read_jobs`, and keys of `sweep` that do not go with it."""
    path = config.sweep.jobs_file
    if problem := problem_of_jobs_file(path, config.sweep.sampler, list(config.sweep.zip)):
        raise UserError(problem)
    folders = [Path(one.path) for one in config.hydra.runtime.config_sources if one.schema == "file"]
    return read_jobs(path, folders, {one.name for one in space})


def check_jobs(config: DictConfig, swept: list[Dimension]) -> None:
    """Errors: what every job of the sweep would fail with, or ignore."""
    written: Any = OmegaConf.to_container(config, resolve=False)
    name, start, names = written.get("run_name"), written.get("init_from"), [one.name for one in swept]
    several = any(len(one.words) != 1 for one in swept)
    if isinstance(name, str) and "${" not in name and several and "run_name" not in names:
        example = as_argument("run_name", f"{name}-${{{names[-1]}}}")
        raise UserError(
            f"`run_name={name}` is one name for all jobs of the sweep, which are runs of their own. Leave it out, or "
            f"put what is swept into it: {example}."
        )
    adapter = next((one for one in swept if one.name.startswith("adapter.") and one.name not in FREE), None)
    is_run = start is not None and not (Path(start) / "adapter_config.json").is_file()
    if is_run and "${" not in start and adapter is not None and "init_from" not in names:
        kept = adapter_of(find_run("init_from", start, Path(config.outputs_root), config.accept_changed))
        value = kept.get(adapter.name.partition(".")[2])
        raise UserError(
            f"`{adapter.name}={adapter.text}` cannot be swept with init_from={start}: its adapter goes on as it is, "
            f"with {adapter.name}={value}. Drop init_from, or sweep something else."
        )


class Sweep:
    """The jobs of one folder, handed out by this process and no other."""

    def __init__(
        self, config: DictConfig, loader: Any, launcher: Any, folder: SweepFolder, space: list[Dimension],
        together: Together | None,
    ) -> None:  # fmt: skip
        self.config, self.folder, self.space, self.together = config, folder, space, together
        self.outputs = Path(config.outputs_root)
        self.direction = direction_of(config.objective, config.sweep.direction)
        self.status = StatusLine(folder)
        self.launching = JobLauncher(config, loader, launcher, folder, self.status)
        self.launched = False

    def run(self, digest: str) -> None:
        self._open(digest)
        search = self._search()
        self.status.total = search.total
        try:
            with as_exception(), grouped(self.folder.path.name):
                jobs = self._hand_out(search)
        except (KeyboardInterrupt, SystemExit) as error:
            self._mark_dead_jobs("interrupted")
            self._close("interrupted")
            if isinstance(error, ReaderGone):
                raise
            print("edu_align: interrupted. The same command goes on from here.", file=sys.stderr, flush=True)
            raise SystemExit(error.exit_code if isinstance(error, Interrupted) else INTERRUPTED) from None
        except BaseException:
            self._mark_dead_jobs("interrupted")
            self._close("failed")
            raise
        self._end(jobs)

    def _open(self, digest: str) -> None:
        """Take the folder, or refuse where it holds another sweep."""
        before = self.folder.record.get("asked")
        if before is not None and before != digest:
            raise UserError(
                f"`sweep.name={self.folder.path.name}`: that sweep asked for something else "
                f"({' '.join(self.folder.record['command'])}). Choose another name."
            )
        keys = [one.name for one in self.space if one.swept]
        command = [Path(sys.argv[0]).name, *sys.argv[1:]]
        self.folder.save(
            name=self.folder.path.name, command=command, sampler=self.config.sweep.sampler, asked=digest,
            objective=self.config.objective, direction=self.direction, keys=keys, state="running",
            started=self.folder.record.get("started", now()), total=self.folder.record.get("total"),
            call=uuid.uuid4().hex[:12], stop=rule(self.config.sweep),
            versions=package_versions(VERSIONS), **who(),
        )  # fmt: skip

    def _search(self) -> Any:
        config = self.config.sweep
        seed = config.seed if config.seed is not None else self.config.seed
        if config.sampler == "grid":
            return ListSearch(self.folder, self.space, grid(self.space, self.together))
        if config.sampler == "random":
            jobs = drawn(self.space, config.trials, seed, self.together)
            return ListSearch(self.folder, self.space, jobs)
        try:
            from edu_align.sweeps.tpe import Tpe
        except ImportError:
            raise UserError('`sweep.sampler=tpe` needs Optuna: pip install "edu_align[sweep]".') from None
        batch = parallel_trials(self.config)
        return Tpe(self.folder, self.space, config.trials, seed, batch, self.direction, self._pruning())

    def _pruning(self) -> Job | None:
        """What a job needs to know to be given up. Optuna compares in the objective's direction: `sign` turns to it."""
        config = self.config.sweep
        if config.prune_metric is None:
            return None
        sign = 1 if direction_of(config.prune_metric) == self.direction else -1
        return {
            "metric": config.prune_metric, "sign": sign, "min_steps": config.prune_min_steps,
            "factor": config.prune_factor,
        }  # fmt: skip

    def _hand_out(self, search: Any) -> list[Job]:
        """Launch what is left until nothing is; returns the jobs as they stand then."""
        force = bool(self.config.get("force"))
        left = {job["number"] for job in self.folder.jobs() if force or not is_done(job, self.outputs)}
        self.status.show()
        while not stop_reason(self.folder.path):
            elsewhere = {number for number in left if self._alive(number)}
            batch = search.next(left - elsewhere)
            if batch:
                self._launch(batch)
                left -= {number for number in batch if self.folder.job(number)["state"] != "waiting"}
                for number in batch:
                    search.tell(self.folder.job(number))
            elif elsewhere:
                with self.status.watching():
                    while any(self._alive(number) for number in elsewhere):
                        time.sleep(LOOK)
                left -= {number for number in elsewhere if is_done(self.folder.job(number), self.outputs)}
            else:
                break
        return self.folder.jobs()

    def _launch(self, batch: list[int], alone: bool = False) -> None:
        """Launch `batch`. Where the launcher itself breaks, those that it has not started are left to the next call.

        A process that is killed takes its neighbours with it (joblib ends them all), so those that died in company are
        tried again, each alone.
        """
        self.launched = True
        broken: Exception | None = None
        try:
            self.launching.run(batch)
        except Exception as error:
            broken = error
        died = self._mark_dead_jobs("failed", batch)
        waiting = [number for number in batch if self.folder.job(number)["state"] == "waiting"]
        if broken is not None and len(waiting) == len(batch):
            raise broken
        if broken is None and not stop_reason(self.folder.path):
            for number in waiting:
                self._mark(number, "failed", "the launcher did not start it")
        self.status.show()
        if broken is not None and not alone and len(died) > 1:
            for number in died:
                self._launch([number], alone=True)

    def _mark_dead_jobs(self, state: str, numbers: list[int] | None = None) -> list[int]:
        """Jobs that say they run, and whose process is gone, get the state that they ended in; returns them."""
        died = []
        for job in self.folder.jobs():
            meant = job["state"] == "running" and (numbers is None or job["number"] in numbers)
            if meant and (not self._alive(job["number"]) or job.get("pid") == who()["pid"]):
                self._mark(job["number"], state, DIED)
                died.append(job["number"])
        return died

    def _mark(self, number: int, state: str, error: str) -> None:
        update(self.folder.job_path(number), self.folder.job(number), state=state, error=error, user_error=False)

    def _alive(self, number: int) -> bool:
        return is_alive(self.folder.job_path(number), self.folder.job(number), watch=True)

    def _close(self, state: str) -> None:
        self.folder.save(state=state, total=self.status.total)

    def _end(self, jobs: list[Job]) -> None:
        """Keep the state, write the report, and raise what failed."""
        failed = [job for job in jobs if job["state"] in ("failed", "interrupted")]
        stopped = any(job["state"] == "interrupted" for job in failed)
        self._close("interrupted" if stopped else "failed" if failed else "finished")
        if not self.launched:
            print("edu_align: every job was finished before; nothing to do.", flush=True)
        if self.launched or not (self.folder.path / "report.md").exists():
            write_and_track(self.folder.path, self.config)
        print(f"edu_align: sweep folder {self.folder.path}", flush=True)
        if why := stop_reason(self.folder.path):
            waiting = self.status.total - sum(job["state"] != "waiting" for job in jobs)
            left = f"{waiting} job{'' if waiting == 1 else 's'} not started"
            print(f"edu_align: stopped: {why}; {left}. The same command goes on.", file=sys.stderr, flush=True)
        if failed:
            texts = [f"#{job['number']} ({format_values(job['values'])}): {job['error']}" for job in failed]
            raise SomeFailed(texts, by_user=all(job.get("user_error") for job in failed))


def write_and_track(folder: Path, config: Any) -> None:
    """Tables and plots of the sweep, in its folder and in W&B. What cannot be written takes nothing from the sweep."""
    from edu_align.reports.sweep.write import write_report

    try:
        print(f"edu_align: report {write_report(folder)}", flush=True)
        log_sweep(folder, OmegaConf.to_object(config.tracking))  # type: ignore[arg-type]
    except Exception as error:
        print(f"edu_align: no report: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


@contextmanager
def grouped(name: str) -> Iterator[None]:
    """W&B runs that start in the block, in this process or in one that it starts, are filed under the group `name`.

    A group that the user named, by `tracking.group` or WANDB_RUN_GROUP, stays. The config is not touched, so that a run
    in a sweep and the same run alone are the same run.
    """
    before = os.environ.get(GROUP)
    os.environ[GROUP] = before or name
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(GROUP, None)


def log_sweep(folder: Path, config: TrackingConfig) -> None:
    """Put the table of the sweep in `folder` into W&B as one run of the job type `sweep`; nothing with tracking=off.

    The table `sweep/jobs` has the rows and columns of results.csv; the summary counts jobs by state (`jobs/finished`,
    ...) and has `best/objective`, `best/job` and `best/run`. Logged again it continues the same W&B run. Errors:
    those of `tracking.tracking`, and a folder that is no sweep.
    """
    if is_off(config):
        return
    sweep = reading.read_sweep(folder)
    known = (read_json(folder / KEPT) or {}).get("id") or uuid.uuid4().hex[:12]
    write_json(folder / KEPT, {"id": known})
    settings = {
        "sampler": sweep.sampler, "objective": sweep.objective, "direction": sweep.direction, "keys": sweep.keys,
        "command": sweep.command,
    }  # fmt: skip
    with grouped(sweep.name):
        run = start(config, folder, known, settings, JOB_TYPE)
    failed = True
    try:
        import wandb

        names, rows = flat(sweep)
        table: Any = wandb.Table(columns=list(names), data=rows, allow_mixed_types=True)
        run.log({"sweep/jobs": table})
        run.summary.update(_summary(sweep))
        failed = False
    finally:
        run.finish(exit_code=int(failed))


def _summary(sweep: reading.Sweep) -> dict[str, Any]:
    found: dict[str, Any] = {f"jobs/{state}": count for state, count in sweep.counts().items()}
    ranked = sweep.ranked()
    if ranked:
        best = ranked[0]
        found |= {"best/objective": best.objective, "best/job": best.number, "best/run": best.run and best.run.name}
        found |= {f"best/{key}": value for key, value in best.values.items()}
    return found
