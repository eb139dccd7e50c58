"""Processes end with the one that started them, however that ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from edu_align.utils import parent
from tests.killing import until


def orphan(work: Callable[[], Any], note: Path) -> int:
    """The pid that `work`'s process wrote into `note`; its parent, between it and this one, is killed then."""
    between = os.fork()
    if between == 0:
        work()
        os._exit(0)
    until(lambda: note.exists() and note.read_text(), 20)
    os.kill(between, signal.SIGKILL)
    os.waitpid(between, 0)
    return int(note.read_text())


@pytest.mark.cases("D17")
def test_a_command_that_was_started_ends_with_its_starter(tmp_path: Path) -> None:
    code = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    command = [sys.executable, "-c", code]
    pid = orphan(lambda: subprocess.run(command, preexec_fn=parent.dies_with_this(), check=False), tmp_path / "pid")
    until(lambda: not psutil.pid_exists(pid), 5)


@pytest.mark.cases("D17")
@pytest.mark.parametrize("heeds", [True, False])
def test_a_job_ends_with_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heeds: bool) -> None:
    """Whether or not it heeds the SIGTERM that it gets first."""
    monkeypatch.setattr(parent, "LOOK", 0.05)
    monkeypatch.setattr(parent, "GRACE", 0.3)

    def start() -> None:
        above = os.getpid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, lambda *_: (tmp_path / "asked").touch() if not heeds else os._exit(0))
            with parent.ending_with(above):
                (tmp_path / "pid").write_text(str(os.getpid()))
                end = time.monotonic() + 60
                while time.monotonic() < end:
                    time.sleep(0.05)
        time.sleep(60)

    pid = orphan(start, tmp_path / "pid")
    until(lambda: not psutil.pid_exists(pid), 5)
    assert (tmp_path / "asked").exists() is not heeds


def test_a_process_whose_parent_is_another_is_left_alone() -> None:
    with parent.ending_with(0), parent.ending_with(os.getpid()):
        time.sleep(0)
