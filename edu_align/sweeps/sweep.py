"""A whole sweep: find or make its folder, hand out what is not done, say how it went, in W&B too."""

import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from edu_align.config.comments import conf_dir
from edu_align.config.jobs_file import JobLine, read_jobs
from edu_align.config.metrics import direction_of
from edu_align.config.sweep_rules import problem_of_jobs_file
from edu_align.config.text import as_argument, for_hydra
from edu_align.runs.environment import package_versions
from edu_align.runs.finished import adapter_of
from edu_align.runs.folder import find_run
from edu_align.runs.process import is_alive, who
from edu_align.sweeps.devices import share_out
from edu_align.sweeps.executor import LOOK, JobLauncher, StatusLine, format_values, parallel_trials
from edu_align.sweeps.objective import measured, objectives
from edu_align.sweeps.space import (
    Dimension,
    ListSearch,
    Together,
    dimensions,
    drawn,
    folders_of,
    grid,
    of_lines,
    zipped,
)
from edu_align.sweeps.state import Job, SweepFolder, default_name, is_done, now, sweep_digest, update
from edu_align.sweeps.stopping import rule, stop_reason
from edu_align.sweeps.tracking import grouped, write_and_track
from edu_align.utils import distributed as processes
from edu_align.utils.errors import Interrupted, SomeFailed, UserError
from edu_align.utils.interrupts import as_exception
from edu_align.utils.logs import LOG, kept
from edu_align.utils.output import ReaderGone

VERSIONS = ("torch", "transformers", "trl", "peft", "optuna")  # what makes a sweep's numbers
FREE = ("adapter.lora_plus_ratio",)  # keys of `adapter` that are free where training goes on from a run
INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it
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
    names = objectives(config, loader, space)
    digest = sweep_digest(config, {one.key: one.text for one in space if one.swept}, lines)
    name = config.sweep.name or default_name(dict(config.hydra.runtime.choices), digest)
    folder = SweepFolder(Path(config.hydra.sweep.dir) / name)
    if config.sweep.dry_run:
        _show(config, loader, folder, space, together, names[0])
        return
    with folder.held(), kept() as log:
        log.into(folder.path / LOG)
        Sweep(config, loader, launcher, folder, space, together, names).run(digest)


def jobs_of(config: DictConfig, space: list[Dimension], together: Together | None) -> Iterator[list[str]]:
    """Overrides of every job of a grid, or of the draws of a random search."""
    if config.sweep.sampler == "grid":
        return grid(space, together)
    return drawn(space, config.sweep.trials, seed_of(config), together)


def seed_of(config: DictConfig) -> int:
    return int(config.sweep.seed if config.sweep.seed is not None else config.seed)


def _show(
    config: DictConfig, loader: Any, folder: SweepFolder, space: list[Dimension], together: Together | None, metric: str
) -> None:
    """Say what the sweep would do. Of a search that learns, the jobs that it has by now."""
    from edu_align.sweeps.dry_run import forecast, print_forecast

    listed = config.sweep.sampler != "tpe"
    jobs = jobs_of(config, space, together) if listed else (job["overrides"] for job in folder.jobs())
    found = forecast(config, loader, folder, space, jobs)
    print_forecast(folder.path.name, metric, found, config, 0 if listed else max(0, config.sweep.trials - len(found)))


def _lines(config: DictConfig, space: list[Dimension]) -> list[JobLine]:
    """The jobs of `sweep.jobs_file`. Errors: those of `read_jobs`, and keys of `sweep` that do not go with it."""
    path = config.sweep.jobs_file
    if problem := problem_of_jobs_file(path, config.sweep.sampler, list(config.sweep.zip)):
        raise UserError(problem)
    return read_jobs(path, [conf_dir(), *folders_of(config)], {one.name for one in space})


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
        together: Together | None, names: tuple[str, ...],
    ) -> None:  # fmt: skip
        self.config, self.folder, self.space, self.together = config, folder, space, together
        self.outputs = Path(config.outputs_root)
        self.names, self.objective = names, names[0]
        self.direction = direction_of(self.objective, config.sweep.direction)
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
            objective=self.objective, direction=self.direction, keys=keys, state="running",
            started=self.folder.record.get("started", now()), total=self.folder.record.get("total"),
            call=uuid.uuid4().hex[:12], stop=rule(self.config.sweep), gpus=share_out(self.config),
            pareto=list(self.config.sweep.pareto),
            versions=package_versions(VERSIONS), **who(),
        )  # fmt: skip

    def _search(self) -> Any:
        config = self.config.sweep
        if config.sampler != "tpe":
            return ListSearch(self.folder, self.space, jobs_of(self.config, self.space, self.together))
        try:
            from edu_align.sweeps.tpe import Tpe
        except ImportError:
            raise UserError('`sweep.sampler=tpe` needs Optuna: pip install "edu_align[sweep]".') from None
        batch = parallel_trials(self.config)
        seed = seed_of(self.config)
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
                    search.tell(self._told(self.folder.job(number)))
            elif elsewhere:
                with self.status.watching():
                    while any(self._alive(number) for number in elsewhere):
                        time.sleep(LOOK)
                left -= {number for number in elsewhere if is_done(self.folder.job(number), self.outputs)}
            else:
                break
        return self.folder.jobs()

    def _told(self, job: Job) -> Job:
        """A job as the search learns of it. Errors: one that learns from the objective, and no run of it has that."""
        if self.config.sweep.sampler == "tpe" and job["state"] == "finished" and job["objective"] is None:
            raise UserError(
                f"`objective` is null, and run {job['run']} has no {self.objective} to learn from. Name a metric that "
                "its run.json has, such as objective=eval/loss."
            )
        return job

    def _compare(self, jobs: list[Job]) -> list[Job]:
        """Compare by another metric where `objective` is null and no run measured the first one that it stands for."""
        found = measured(self.names, jobs, self.outputs)
        if found is None:
            return jobs
        name, values = found
        print(f"edu_align: no run measured {self.objective}: compared by {name}", flush=True)
        for number, value in values.items():
            update(self.folder.job_path(number), self.folder.job(number), objective=value)
        self.objective, self.direction = name, direction_of(name, self.config.sweep.direction)
        self.folder.save(objective=name, direction=self.direction)
        self.status.show()
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
        jobs = self._compare(jobs)
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
