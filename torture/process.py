"""One attempt at a run: a forked child of a process that has imported everything, killed from outside; or several that
train together, of which one is killed or all.

Importing torch and TRL takes longer than a run of the tiny model. This process does it once; every attempt is a child
that calls `main` of train, evaluate or export with a command line, and its memory, files and SIGKILL are its own. What
the fork leaves out is a kill during imports, which write nothing. Where one of several ends before its time, the others
are ended as torchrun ends them: SIGTERM, and SIGKILL where that is not heeded.
"""

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

START = "start-up"
# Where a run can be killed: the functions that begin and end each phase. What is between them belongs to `START`
# before the first, and to the phase before afterwards.
PHASES = {
    "edu_align.training.session:Session._measure": "evaluation",
    "transformers:Trainer.evaluate": "evaluation",
    "transformers:Trainer.training_step": "step",
    "edu_align.training.resume:_write": "checkpoint",
    "edu_align.training.session:Session._save_model": "saving",
    "edu_align.training.session:Session._evaluation": "saving",
    "edu_align.training.session:Session._card": "card",
    "edu_align.evaluation.suite.run:_results": "metric",
    "edu_align.exporting.write:written_aside": "export",
    "edu_align.exporting.write:describe": "export",
}
# What a run imports as it goes, beside the modules above.
IMPORTED = ("hydra.main", "edu_align.train", "edu_align.evaluate", "edu_align.export")
NAMES = (START, *dict.fromkeys(PHASES.values()))
TICK = 0.02  # seconds between two looks at the children
PATIENCE = 30  # seconds until those who do not heed SIGTERM are killed; torchrun's number


@dataclass(frozen=True)
class Kill:
    """SIGKILL `delay` seconds after phase `phase` began for the `nth` time (from 1) in the first process.

    `rank`: of the process that is killed; None kills all.
    """

    phase: str
    nth: int
    delay: float
    rank: int | None = None


@dataclass
class Attempt:
    """How it ended: minus the signal that killed it, the first exit code that is not 0, or 0. `phases`: name and
    seconds since the start of each that began in the first process, in their order; `said`: stdout and stderr.
    """

    code: int
    phases: list[tuple[str, float]]
    said: str
    seconds: float = field(default=0.0)

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


def preload() -> None:
    """Import what the programs import, so that the children need not."""
    from importlib import import_module

    import torch
    import transformers

    for name in (*IMPORTED, *(place.partition(":")[0] for place in PHASES)):
        import_module(name)
    torch.set_num_threads(1)  # a pool of threads would not survive the fork
    transformers.logging.set_verbosity_error()


def attempt(program: str, words: Sequence[str], log: Path, kill: Kill | None, processes: int = 1) -> Attempt:
    """Run `python -m edu_align.<program> <words>` in a child, kill it where `kill` says, and wait for its end."""
    read, write = os.pipe()
    logs = [log.with_name(f"{log.name}-{rank}") for rank in range(processes)]
    given, children = environment(processes), []
    for rank, own in enumerate(logs):
        pid = os.fork()
        if pid == 0:
            os.close(read)
            join_others(given, rank)
            _child(program, words, own, write if rank == 0 else None)
        children.append(pid)
    os.close(write)
    began, phases, group = time.monotonic(), [(START, 0.0)], _Group(children)
    if kill is not None and kill.phase == START:
        group.kill_at(began + kill.delay, kill.rank)
    rest, told = b"", True
    while group.living or told:
        told = bool(select.select([read], [], [], group.pause())[0] and (got := os.read(read, 65536)))
        if told:
            *marks, rest = (rest + got).split(b"\n")
            for mark in marks:
                name, _, at = mark.decode().partition(" ")
                phases.append((name, float(at) - began))
                if kill is not None and kill.phase == name and kill.nth == sum(each == name for each, _ in phases):
                    group.kill_at(float(at) + kill.delay, kill.rank)
        group.look()
    os.close(read)
    said = "".join(each.read_text(encoding="utf-8", errors="replace") for each in logs)
    return Attempt(group.code, phases, said, time.monotonic() - began)


def environment(processes: int) -> dict[str, str]:
    """What torchrun tells every one of several processes; nothing where there is one."""
    if processes == 1:
        return {}
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    many = str(processes)
    return {"WORLD_SIZE": many, "LOCAL_WORLD_SIZE": many, "MASTER_ADDR": "localhost", "MASTER_PORT": port}


def join_others(given: dict[str, str], rank: int) -> None:
    """Make a forked child the process `rank` of those that `given` tells of, whatever its parent has trained alone."""
    from accelerate.state import AcceleratorState

    os.environ.update({**given, "RANK": str(rank), "LOCAL_RANK": str(rank)} if given else {})
    AcceleratorState._reset_state(reset_partial_state=True)


class _Group:
    """The children of one attempt. None is waited for twice, so a pid is its child's own until it is."""

    def __init__(self, children: list[int]) -> None:
        self.children = children
        self.living = set(children)
        self.code = 0
        self._due: tuple[float, int | None] | None = None
        self._aimed: set[int] = set()
        self._told: float | None = None  # when those who are left were told to end

    def kill_at(self, moment: float, rank: int | None) -> None:
        self._due = moment, rank

    def pause(self) -> float:
        """Seconds until the next look."""
        left = TICK if self._due is None else self._due[0] - time.monotonic()
        return min(max(left, 0.0), TICK)

    def look(self) -> None:
        """Kill who is to be killed by now, and see who has ended."""
        if self._due is not None and time.monotonic() >= self._due[0]:
            _, rank = self._due
            self._due = None
            aimed = self.children if rank is None else [self.children[rank % len(self.children)]]
            self._aimed = self.living.intersection(aimed)
            self._send(signal.SIGKILL, self._aimed)
        for pid in list(self.living):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self.living.remove(pid)
                self._ended(pid, os.waitstatus_to_exitcode(status))
        if self._told is not None and time.monotonic() > self._told + PATIENCE:
            self._send(signal.SIGKILL, self.living)

    def _ended(self, pid: int, code: int) -> None:
        if code and self._told is None:
            self._told = time.monotonic()
            self._send(signal.SIGTERM, self.living)
        if pid in self._aimed and code == -signal.SIGKILL:
            self.code = code  # whatever became of the others
        self.code = self.code or code

    def _send(self, number: int, to: set[int]) -> None:
        for pid in to:
            os.kill(pid, number)


def _child(program: str, words: Sequence[str], log: Path, marks: int | None) -> None:
    """Never returns. `marks`: where its phases are told; None where they are not."""
    from importlib import import_module

    code = 1
    try:
        output = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
        sys.argv = [f"edu_align.{program}", *words]
        if marks is not None:
            _mark_phases(marks)
        import_module(f"edu_align.{program}").main()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _mark_phases(marks: int) -> None:
    """Tell the parent of every phase that begins. Nothing of the run depends on it."""
    from importlib import import_module

    for place, phase in PHASES.items():
        module, _, path = place.partition(":")
        owner: Any = import_module(module)
        *outer, name = path.split(".")
        for each in outer:
            owner = getattr(owner, each)
        setattr(owner, name, _marked(getattr(owner, name), phase, marks))


def _marked(function: Callable[..., Any], phase: str, marks: int) -> Callable[..., Any]:
    @wraps(function)
    def marked(*arguments: Any, **keys: Any) -> Any:
        os.write(marks, f"{phase} {time.monotonic()}\n".encode())
        return function(*arguments, **keys)

    return marked
