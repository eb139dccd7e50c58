"""Who works on a run, and what its record says at the start: found finished, begun, or gone on with."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from edu_align import processes
from edu_align.errors import UserError
from edu_align.runs.attempts import Launch
from edu_align.runs.facts import git_state, package_versions
from edu_align.runs.folder import RunFolder, read_record
from edu_align.runs.identity import other_code
from edu_align.runs.lock import Lock, refuse_held
from edu_align.runs.progress import Progress
from edu_align.runs.stopping import Stop, stoppable
from edu_align.runs.writing import remove_left_over, write_text

# What a finished run is returned with, of its metrics; run.json has them all.
SHOWN = re.compile(r"(train/(loss|steps)|eval/(loss|pair_accuracy\w*|human_turn_nll))")
KEPT = ("started", "error", "seconds", "machine", "versions", "git")  # what is kept of an attempt that did not finish


@dataclass
class Work:
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


def finished(launch: Launch) -> RunFolder | None:
    """The run where it is finished already. Errors: the name is another run's, or another process works on this one."""

    def look() -> RunFolder | None:
        found = launch.newest()
        if found is not None and found.record["state"] == "finished":
            Progress(found).remove()  # where it was killed right after its end
            print(_returned(found), flush=True)
            return found
        if found is not None:
            refuse_held(found.path)
        return None

    return processes.first(look)


@contextmanager
def working(launch: Launch, composed: DictConfig, facts: Callable[[], dict[str, Any]]) -> Iterator[Work]:
    """The run's folder, locked and begun by the first process, and signals that ask it to stop; let go of at the end.

    `facts` is what run.json says besides.
    """
    lock: list[Lock] = []

    def begin() -> RunFolder:
        found = launch.newest()
        path = found.path if found else launch.make()
        lock.append(Lock(path))
        remove_left_over(path)
        before = read_record(path)
        if before is not None and before["state"] == "finished":
            return RunFolder(path, before)
        return _begun(launch, composed, path, before, facts())

    try:
        made = processes.first(begin)
        folder = RunFolder(made.path, made.record, writes=processes.is_first())
        with stoppable() as stop:
            yield Work(folder, lock[0] if lock else None, stop)
    finally:
        for each in lock:
            each.release()


def _begun(
    launch: Launch, composed: DictConfig, path: Path, before: dict[str, Any] | None, facts: dict[str, Any]
) -> RunFolder:
    identity, code = launch.identity, _code()
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
    """What is said of a finished run: where it lies, whose code made it where that is another's, what it measured."""
    record = folder.record
    lines = [f"edu_align: this run is finished already ({record['id']}, {record['started'][:16]}): {folder.path}"]
    if difference := other_code(record, _code()):
        lines.append(f"edu_align: other code made it ({difference}); force=true runs it again")
    shown = {name: value for name, value in sorted(record["metrics"].items()) if SHOWN.fullmatch(name)}
    lines.append("edu_align: " + ", ".join(f"{name} {value:.4g}" for name, value in shown.items()))
    return "\n".join(lines)
