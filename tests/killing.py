"""Runs that are killed: a child process that shares this one's imports dies by SIGKILL at a named moment."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

TIMES = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "eval_runtime",
         "eval_samples_per_second", "eval_steps_per_second")  # fmt: skip
Outcome = dict[str, Any]


def outcome(folder: Path) -> Outcome:
    """What a finished run leaves that must not depend on how often it was killed: bytes, losses, measurements."""
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    record = json.loads((folder / "run.json").read_text())
    timed = ("per_second", "runtime", "peak_memory_gib")
    weights = next(folder.glob("*/*model.safetensors"))
    found = {
        "weights": weights.read_bytes(),
        "logged": [{key: value for key, value in line.items() if key not in TIMES} for line in logged],
        "samples": (folder / "samples.jsonl").read_text() if (folder / "samples.jsonl").exists() else None,
        "metrics": {key: value for key, value in record["metrics"].items() if not key.endswith(timed)},
        "id": record["id"],
        "state": record["state"],
    }
    if (folder / "evaluation.json").exists():
        found["evaluation"] = json.loads((folder / "evaluation.json").read_text())
    return found


def in_child(work: Callable[[], Any]) -> int:
    """Run `work` in a forked process and return how it ended: minus the signal that killed it, or its exit code."""
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
    status = os.waitpid(pid, 0)[1]
    return os.waitstatus_to_exitcode(status)


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
