"""One attempt at a run: a forked child of a process that has imported everything, killed from outside.

Importing torch and TRL takes longer than a run of the tiny model. This process does it once; every attempt is a child
that calls `main` of train, evaluate or export with a command line, and its memory, files and SIGKILL are its own. What
the fork leaves out is a kill during imports, which write nothing.
"""

import os
import signal
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
NAMES = (START, *dict.fromkeys(PHASES.values()))


@dataclass(frozen=True)
class Kill:
    """SIGKILL `delay` seconds after phase `phase` began for the `nth` time (from 1)."""

    phase: str
    nth: int
    delay: float


@dataclass
class Attempt:
    """How a child ended: minus the signal, or the exit code. `phases`: name and seconds since its start of each that
    began, in their order; `said`: stdout and stderr.
    """

    code: int
    phases: list[tuple[str, float]]
    said: str
    seconds: float = field(default=0.0)

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


def preload() -> None:
    """Import what a run imports, so that the children need not."""
    import torch
    import transformers
    import trl.trainer.dpo_trainer
    import trl.trainer.sft_trainer  # noqa: F401

    torch.set_num_threads(1)  # a pool of threads would not survive the fork
    transformers.logging.set_verbosity_error()


def attempt(program: str, words: Sequence[str], log: Path, kill: Kill | None) -> Attempt:
    """Run `python -m edu_align.<program> <words>` in a child, kill it where `kill` says, and wait for its end."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _child(program, words, log, write)
    os.close(write)
    began, phases = time.monotonic(), [(START, 0.0)]
    if kill is not None and kill.phase == START:
        _kill_after(pid, kill.delay)
    with os.fdopen(read) as marks:
        for mark in marks:
            name = mark.strip()
            phases.append((name, time.monotonic() - began))
            if kill is not None and kill.phase == name and kill.nth == sum(each == name for each, _ in phases):
                _kill_after(pid, kill.delay)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return Attempt(code, phases, log.read_text(encoding="utf-8", errors="replace"), time.monotonic() - began)


def _kill_after(pid: int, delay: float) -> None:
    """The child is not waited for yet, so its pid is its own even where it has ended in the meantime."""
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)


def _child(program: str, words: Sequence[str], log: Path, marks: int) -> None:
    """Never returns."""
    from importlib import import_module

    code = 1
    try:
        output = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.argv = [f"edu_align.{program}", *words]
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
        os.write(marks, f"{phase}\n".encode())
        return function(*arguments, **keys)

    return marked
