"""Runs that are killed: a child process that shares this one's imports dies by SIGKILL at a named moment."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

import pytest

from torture.outcome import outcome as files_of


def outcome(folder: Path) -> dict[str, Any]:
    """What a finished run leaves that must not depend on how often it was killed: its files without times, its id."""
    return files_of(folder) | {"id": json.loads((folder / "run.json").read_text())["id"]}


def in_child(work: Callable[[], Any], within: float = inf) -> int:
    """Run `work` in a forked process and return how it ended: minus the signal that killed it, or its exit code.

    After `within` seconds it is killed.
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        finally:
            os._exit(code)
    end = time.monotonic() + within
    wait = 0 if within == inf else os.WNOHANG
    while not (found := os.waitpid(pid, wait))[0]:
        if time.monotonic() >= end:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return os.waitstatus_to_exitcode(found[1])


def until(met: Callable[[], object], seconds: float = 300) -> None:
    """Wait for `met`. Errors: it is not within `seconds`."""
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)


@contextmanager
def killed_at(event: str, step: int, number: int = signal.SIGKILL) -> Iterator[None]:
    """Inside the block a process that trains sends itself a signal in that event (`on_step_end`, ...) of that step."""
    from edu_align.training.callbacks import Recorder

    original = getattr(Recorder, event)

    def armed(self: Any, args: Any, state: Any, control: Any, **rest: Any) -> None:
        original(self, args, state, control, **rest)
        if state.global_step == step:
            os.kill(os.getpid(), number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, event, armed)
        yield
