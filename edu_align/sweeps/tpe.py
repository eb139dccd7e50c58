"""Search by TPE (Bergstra et al. 2011) with successive halving, on Optuna, its journal in the sweep's folder.

The journal is the truth about what was asked; the job files are the truth about what came out. A trial that was not
told when the sweep died goes on with the same values.
"""

import json
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from edu_align.sweeps.space import Dimension, values_of
from edu_align.sweeps.state import Job, SweepFolder, update
from edu_align.utils.jsonl import cut_torn_line

JOURNAL = "optuna.log"
STUDY = "sweep"
GRACE = 10  # seconds after which the journal's lock counts as left by a dead process
DONE = ("finished", "pruned", "failed")


class Tpe:
    """Asks Optuna for one batch after the other until there are `sweep.trials` jobs."""

    def __init__(
        self,
        folder: SweepFolder,
        space: list[Dimension],
        trials: int,
        seed: int,
        batch: int,
        direction: str,
        prune: Job | None,
    ) -> None:
        self.folder, self.space, self.seed, self.batch = folder, space, seed, batch
        self.direction, self.prune = direction, prune
        cut_torn_line(folder.path / JOURNAL)
        broken = _set_aside(folder.path / JOURNAL)
        self.study = study_at(folder.path, direction, None)
        if broken:
            self._rebuild()
        self._catch_up()
        self.total = max(trials, len(folder.jobs()))

    def next(self, left: set[int]) -> list[int]:
        """Numbers of the jobs to launch now: those `left` of an earlier sweep, or else new ones."""
        if left:
            for number in left:
                self._retry(self.folder.job(number))
            return sorted(left)
        wanted = min(self.batch, self.total - len(self.folder.jobs()))
        return [self._ask() for _ in range(wanted)]

    def tell(self, job: Job) -> None:
        """Give Optuna what came out of a job, once."""
        trial = self._trials().get(job["number"])
        if trial is None or trial.state.is_finished():
            return
        if job["state"] == "finished" and job["objective"] is not None:
            self.study.tell(trial.number, float(job["objective"]))
        elif job["state"] in DONE:
            self.study.tell(trial.number, state=TrialState.PRUNED if job["state"] == "pruned" else TrialState.FAIL)

    def _retry(self, job: Job) -> None:
        """A failed job is tried once more: a new trial with the same values, under the job's number."""
        trial = self._trials().get(job["number"])
        if trial is not None and trial.state.is_finished():
            self.study.enqueue_trial(trial.params, user_attrs={"job": job["number"]})
            self._ask(job["number"])

    def _catch_up(self) -> None:
        """Bring journal and job files together after a death between the two."""
        known = {job["number"]: job for job in self.folder.jobs()}
        for number, trial in self._trials().items():
            if number not in known:
                self._write(number, trial)
        for job in known.values():
            self.tell(job)

    def _rebuild(self) -> None:
        """A trial for each job in the folder, with what came out of it. Values reported on the way are gone."""
        swept = [dimension for dimension in self.space if dimension.swept]
        for job in self.folder.jobs():
            words = dict(word.split("=", 1) for word in job["overrides"])
            if all(one.key in words for one in swept):
                done = job["state"] == "finished" and job["objective"] is not None
                trial = optuna.trial.create_trial(
                    state=TrialState.COMPLETE if done else TrialState.RUNNING,
                    value=float(job["objective"]) if done else None,
                    params={one.name: _typed(one, words[one.key]) for one in swept},
                    distributions={one.name: distribution(one) for one in swept},
                    user_attrs={"job": job["number"]},
                )
                self.study.add_trial(trial)
        for number, trial in self._trials().items():
            self._write(number, trial)

    def _ask(self, number: int | None = None) -> int:
        """One more trial and its job's file. The sampler is seeded by the trial, so that a resumed search goes on."""
        ahead = len(self.study.trials)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self.study.sampler = optuna.samplers.TPESampler(seed=self.seed + ahead, constant_liar=self.batch > 1)
        swept = [dimension for dimension in self.space if dimension.swept]
        trial = self.study.ask({dimension.name: distribution(dimension) for dimension in swept})
        given = trial.user_attrs.get("job", number)
        job = len(self.folder.jobs()) if given is None else int(given)
        trial.set_user_attr("job", job)
        self._write(job, self.study.trials[trial.number])
        return job

    def _write(self, number: int, trial: Any) -> None:
        overrides = [
            f"{one.key}={_word(one, trial.params[one.name])}" if one.swept else f"{one.key}={one.words[0]}"
            for one in self.space
        ]
        known = self.folder.job(number)
        if "overrides" not in known:
            known = self.folder.add(number, overrides, values_of(overrides, self.space))
        prune = None if self.prune is None else {**self.prune, "trial": trial._trial_id, "direction": self.direction}
        update(self.folder.job_path(number), known, prune=prune)

    def _trials(self) -> dict[int, Any]:
        """The newest trial of each job; one that was asked for as the sweep died gets the next free number."""
        found: dict[int, Any] = {}
        lost = []
        for trial in self.study.get_trials(deepcopy=False):
            if "job" in trial.user_attrs:
                found[trial.user_attrs["job"]] = trial
            elif trial.state == TrialState.RUNNING:
                lost.append(trial)
        for trial in lost:
            number = max(found, default=-1) + 1
            self.study._storage.set_trial_user_attr(trial._trial_id, "job", number)
            found[number] = trial
        return found


def _set_aside(journal: Path) -> bool:
    """Whether a journal had a line that cannot be read: a copy or a full disk cut it. It gets another name then."""
    lines = journal.read_bytes().split(b"\n") if journal.is_file() else []
    try:
        for line in filter(None, lines):
            json.loads(line)
    except ValueError:
        aside = journal.with_suffix(".broken")
        journal.replace(aside)
        print(f"edu_align: {journal} has a line that is cut; it is now {aside.name}, and made again from the jobs")
        return True
    return False


def study_at(folder: Path, direction: Any, pruner: Any) -> Any:
    """The study whose journal lies in `folder`, made where there is none."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = str(folder / JOURNAL)
    backend = JournalFileBackend(path, lock_obj=JournalFileOpenLock(path, grace_period=GRACE))
    return optuna.create_study(
        storage=JournalStorage(backend), study_name=STUDY, direction=direction, pruner=pruner, load_if_exists=True
    )


def distribution(dimension: Dimension) -> Any:
    """Optuna's form of a dimension. Listed values are categories, in the words that were typed."""
    if dimension.words:
        return optuna.distributions.CategoricalDistribution(dimension.words)
    if dimension.whole:
        return optuna.distributions.IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return optuna.distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def should_prune(folder: Path, prune: Job, step: int, value: float) -> bool:
    """Report `value` after `step` optimizer steps of the trial in `prune`, and ask whether to give it up."""
    study = _pruned_study(folder, prune["direction"], prune["min_steps"], prune["factor"])
    trial = optuna.trial.Trial(study, prune["trial"])
    with warnings.catch_warnings():
        # The last step is measured twice, and steps after a checkpoint again when a job goes on.
        warnings.filterwarnings("ignore", message="The reported value is ignored")
        trial.report(prune["sign"] * value, step)
    return trial.should_prune()


@lru_cache(maxsize=1)
def _pruned_study(folder: Path, direction: str, min_steps: int, factor: int) -> Any:
    return study_at(folder, direction, optuna.pruners.SuccessiveHalvingPruner(min_steps, factor))


def _word(dimension: Dimension, value: Any) -> str:
    return str(value) if dimension.words else dimension.written(value)


def _typed(dimension: Dimension, word: str) -> Any:
    return word if dimension.words else int(word) if dimension.whole else float(word)
