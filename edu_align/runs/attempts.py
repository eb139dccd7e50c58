"""Which folder a launch works in (a finished run's, one that can go on, or a new one), and claiming it for one process.

A run's folder is `outputs_root/runs/<name>`; starting over with `force=true` makes `<name>-2`, `<name>-3`, ... beside
it. Those with the launch's id are its attempts, and the newest of them is what a launch finds. A launch without a name
of its own finds a finished run of its id under any name.
"""

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from edu_align.config.schema import Config
from edu_align.runs.checkpoints import CheckpointStore
from edu_align.runs.environment import git_state, package_versions
from edu_align.runs.folder import RunFolder, check_fields, list_runs, read_record, read_stored
from edu_align.runs.identity import Identity, other_code, settings_of
from edu_align.runs.lock import Lock, refuse_held
from edu_align.runs.seal import check_run
from edu_align.utils import distributed as processes
from edu_align.utils.errors import Interrupted, UserError
from edu_align.utils.files import remove_left_over, write_text
from edu_align.utils.hashing import records_in
from edu_align.utils.output import leave_terminal

SIGNALS = (signal.SIGINT, signal.SIGTERM)
WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)  # `sbatch --signal`; taken only where nobody else, as submitit, has them


class Stop:
    """Whether a run is to stop at the end of its step. `training`: whether it is in a step that is worth ending."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.training = False

    def ask(self, number: int) -> None:
        """Stop at the end of the step, or now (raises `Interrupted`). `number`: of the signal that says so."""
        if self.number is not None or not self.training:
            raise Interrupted(number)
        self.number = number
        name = signal.Signals(number).name
        # print() may be in the middle of a line when a signal comes, and is not made for being called again then.
        with suppress(OSError):  # nobody reads it
            os.write(2, f"edu_align: {name}: stopping at the end of this step; once more ends at once\n".encode())

    @contextmanager
    def at_step_ends(self) -> Iterator[None]:
        """Inside the block the first signal waits for the end of the step. One that came too late for it ends here."""
        self.training = True
        try:
            yield
        finally:
            self.training = False
        if self.number is not None:
            raise Interrupted(self.number)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """A `Stop` that the signals ask while the block runs; outside of the main thread none of them reaches it."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, _: Any) -> None:
        if stop.number is not None:
            for each in before:
                signal.signal(each, signal.SIG_DFL)  # a third time is not ours to handle
        if number == signal.SIGHUP:
            leave_terminal()
        stop.ask(number)

    free = [number for number in WARNINGS if signal.getsignal(number) == signal.SIG_DFL]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # which `nohup` wants
        free.append(signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in (*SIGNALS, *free)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


MOST_ATTEMPTS = 10_000
KEPT = ("started", "error", "seconds", "machine", "versions", "git")  # what is kept of an attempt that did not finish


@dataclass(frozen=True)
class RunRequest:
    """One launch of a config: where its run lies or will lie, and what is known of it."""

    config: Config
    identity: Identity
    runs: Path

    @property
    def name(self) -> str:
        config = self.config
        default = f"{config.trainer.algorithm}-{config.dataset.name}-{config.model.name}-{self.identity.id}"
        return config.run_name or default

    def newest(self) -> RunFolder | None:
        """The newest attempt of this very run, finished or not; None where there is none, or `force` asks for another.

        Errors: the name is taken by something else.
        """
        if self.config.force:
            return None
        stored = [run for path in attempts(self.runs, self.name) if (run := read_stored(path))]
        found = [RunFolder(run.path, run.record) for run in stored if run.record]
        same = [folder for folder in found if folder.record.get("id") == self.identity.id]
        if same:
            return same[-1]
        if self.config.run_name is None and (named := self._finished_elsewhere()):
            return named
        self._check_free(self.runs / self.name)
        return None

    def _finished_elsewhere(self) -> RunFolder | None:
        runs = list_runs(self.runs.parent)
        done = (run for run in runs if run.id == self.identity.id and run.state == "finished")
        return next((RunFolder(run.path, run.record) for run in done), None)

    def make(self) -> Path:
        """The folder of a new attempt, made here. With `force` the first name that is free."""
        if not self.config.force:
            path = self.runs / self.name
            path.mkdir(parents=True, exist_ok=True)  # another launch may be making it too: the lock decides
            return path
        for number in range(1, MOST_ATTEMPTS):
            path = self.runs / (self.name if number == 1 else f"{self.name}-{number}")
            try:
                path.mkdir(parents=True)
                return path
            except FileExistsError:
                continue
        raise UserError(f"no free folder name is left for {self.name!r} under {self.runs}. Set run_name=<name>.")

    def _check_free(self, path: Path) -> None:
        """Errors: the folder holds another run, or something that is no run."""
        record = read_record(path)
        if record is None:  # hidden files are what a launch leaves that ended before it wrote its record
            if path.exists() and not (path.is_dir() and all(each.name.startswith(".") for each in path.iterdir())):
                raise UserError(f"`run_name={self.name}`: {path} exists already and is no run. Choose another name.")
            return
        there = self._identity_of(path, record)
        what = "it was made by an older edu_align, which kept no id"
        if there is not None:
            what = f"what differs: {'; '.join(self.identity.differences(there)) or 'how ids are made'}"
        raise UserError(
            f"`run_name={self.name}`: {path} exists already and is another run ({what}). Choose another run_name or "
            f"leave it out, give that run's settings to go on with it, or set force=true to start beside it."
        )

    def _identity_of(self, path: Path, record: dict[str, Any]) -> Identity | None:
        if "id" not in record or not (path / "config.yaml").is_file():
            return None
        from edu_align.config.stored import read_config

        stored: Any = OmegaConf.to_container(read_config(path / "config.yaml"), resolve=True)
        check_fields(path, record)
        data = record["data"].get("read", {})
        settings = settings_of(stored) | record.get("text", {})
        return Identity(settings, data, record["base_model"], record.get("parent"))


def attempts(runs: Path, name: str) -> list[Path]:
    """Folders `<name>`, `<name>-2`, ... that exist, the oldest first."""
    pattern = re.compile(rf"{re.escape(Path(name).name)}(?:-(\d+))?")
    place = (runs / name).parent
    matches = ((pattern.fullmatch(path.name), path) for path in (place.iterdir() if place.is_dir() else ()))
    return [path for _, path in sorted((int(match[1] or 1), path) for match, path in matches if match)]


@dataclass
class ActiveRun:
    """A run that this process makes: its folder, the lock on it (None in all processes but the first), and whether it
    is to stop. Not `begun` where another process has finished it in the meantime.
    """

    folder: RunFolder
    lock: Lock | None
    stop: Stop

    @property
    def begun(self) -> bool:
        return bool(self.folder.record["state"] != "finished")

    def check(self) -> None:
        """Errors: another process has taken the folder over."""
        if self.lock is not None and self.lock.lost:
            raise UserError(
                f"{self.folder.path} was taken over by another process, because this one gave no sign of life for too "
                "long, or the folder is gone."
            )


def find_finished(request: RunRequest) -> RunFolder | None:
    """The run where it is finished already. Errors: the name is another run's, or another process works on this one."""

    def look() -> RunFolder | None:
        found = request.newest()
        if found is not None and found.record["state"] == "finished":
            check_fields(found.path, found.record)
            records = records_in(request.config.outputs_root)
            check_run("this command", found.path, found.record, records, request.config.accept_changed)
            CheckpointStore(found).remove()  # where it was killed right after its end
            print(_returned(found), flush=True)
            return found
        if found is not None:
            refuse_held(found.path)
        return None

    return processes.first(look)


@contextmanager
def claim_run(request: RunRequest, composed: DictConfig, facts: Callable[[], dict[str, Any]]) -> Iterator[ActiveRun]:
    """The run's folder, locked and begun by the first process, and signals that ask it to stop; let go of at the end.

    `facts` is what run.json says besides.
    """
    lock: list[Lock] = []

    def begin() -> RunFolder:
        found = request.newest()
        path = found.path if found else request.make()
        lock.append(Lock(path))
        remove_left_over(path)
        before = read_record(path)
        if before is not None and before["state"] == "finished":
            return RunFolder(path, before)
        return _begun(request, composed, path, before, facts())

    try:
        made = processes.first(begin)
        folder = RunFolder(made.path, made.record, writes=processes.is_first())
        with stoppable() as stop:
            yield ActiveRun(folder, lock[0] if lock else None, stop)
    finally:
        for each in lock:
            each.release()


def _begun(
    request: RunRequest, composed: DictConfig, path: Path, before: dict[str, Any] | None, facts: dict[str, Any]
) -> RunFolder:
    identity, code = request.identity, _code()
    record = {"id": identity.id, "parent": identity.parent, **facts, **code}
    record["data"] = {**facts["data"], "read": identity.data}
    if before is None:
        print(f"edu_align: run folder {path}", flush=True)
    else:
        record["attempts"] = _attempts(before)
        record |= {key: before[key] for key in ("wandb_id", "out_of_memory") if key in before}
        print(f"edu_align: run folder {path}, after an attempt that was {record['attempts'][-1]['state']}", flush=True)
        if difference := other_code(before, code):
            print(f"edu_align: other code began it ({difference}); force=true starts over", flush=True)
    folder = RunFolder.create(path, record)
    write_text(path / "config.yaml", OmegaConf.to_yaml(composed, resolve=True))
    return folder


def _attempts(before: dict[str, Any]) -> list[dict[str, Any]]:
    """Those before the next one. One whose record still says `running` is that of a process that was killed."""
    state = "killed" if before["state"] == "running" else before["state"]
    last = {"state": state, **{key: before[key] for key in KEPT if key in before}}
    if before.get("attempts"):  # its seconds hold theirs
        last["seconds"] = last.get("seconds", 0.0) - sum(each.get("seconds", 0.0) for each in before["attempts"])
    return [*before.get("attempts", []), last]


def _code() -> dict[str, Any]:
    return {"versions": package_versions(), "git": git_state()}


def _returned(folder: RunFolder) -> str:
    """What is said of a finished run: where it lies, and whose code made it where that is another's."""
    record = folder.record
    lines = [f"edu_align: this run is finished already ({record['id']}, {record['started'][:16]}): {folder.path}"]
    if difference := other_code(record, _code()):
        lines.append(f"edu_align: other code made it ({difference}); force=true runs it again")
    return "\n".join(lines)
