"""A sweep of real runs on the tiny model that is killed in mid-run, and repeated."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TINY
from tests.sweeps.cluster import until
from tests.sweeps.conftest import ROOT

pytestmark = pytest.mark.slow
WORDS = ["-m", *TINY, "trainer=dpo", "trainer.beta=0.05,0.1,0.3", "objective=eval/pair_accuracy_implicit"]
COMMAND = [sys.executable, "-m", "edu_align.train", *WORDS]


def _jobs(place: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(place.glob("outputs/sweeps/*/jobs/*.json"))]


def test_a_killed_sweep_of_runs_is_completed_by_its_command(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(
        COMMAND, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    until(lambda: [job["state"] for job in _jobs(tmp_path)][:2] == ["finished", "running"], 600)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    (first, _, _) = _jobs(tmp_path)
    done = subprocess.run(COMMAND, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [job["state"] for job in _jobs(tmp_path)] == ["finished"] * 3
    assert _jobs(tmp_path)[0] == first
    for job in _jobs(tmp_path):
        record = json.loads((tmp_path / "outputs" / "runs" / job["run"] / "run.json").read_text())
        assert record["metrics"]["eval/pair_accuracy_implicit"] == job["objective"]
    began = time.monotonic()
    again = subprocess.run(COMMAND, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "every job was finished before" in again.stdout
    assert time.monotonic() - began < 60
