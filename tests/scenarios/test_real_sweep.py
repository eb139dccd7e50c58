"""A sweep of real runs on the tiny model that is killed in mid-run, and repeated."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.conftest import TINY
from tests.killing import outcome, until
from tests.sweeps.conftest import ROOT

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-m", "edu_align.train", "-m", *TINY, "trainer=dpo", "objective=eval/pair_accuracy_implicit"]
THREE = [*COMMAND, "trainer.beta=0.05,0.1,0.3"]
FOUR = [*COMMAND, "trainer.beta=0.05,0.3", "trainer.learning_rate=1e-3,2e-3", "trainer.max_steps=12"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def _start(command: list[str], place: Path) -> "subprocess.Popen[bytes]":
    place.mkdir(exist_ok=True)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=place, env=ENVIRONMENT, start_new_session=True, **quiet)


def _kill(running: "subprocess.Popen[bytes]") -> None:
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def _again(place: Path) -> str:
    done = subprocess.run(THREE, cwd=place, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _jobs(place: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(place.glob("outputs/sweeps/*/jobs/*.json"))]


def test_a_killed_sweep_of_runs_is_completed_by_its_command(tmp_path: Path) -> None:
    running = _start(THREE, tmp_path)
    until(lambda: [job["state"] for job in _jobs(tmp_path)][:2] == ["finished", "running"], 600)
    _kill(running)
    (first, _, _) = _jobs(tmp_path)
    _again(tmp_path)
    assert [job["state"] for job in _jobs(tmp_path)] == ["finished"] * 3
    assert _jobs(tmp_path)[0] == first
    for job in _jobs(tmp_path):
        record = json.loads((tmp_path / "outputs" / "runs" / job["run"] / "run.json").read_text())
        assert record["metrics"]["eval/pair_accuracy_implicit"] == job["objective"]
    began = time.monotonic()
    assert "every job was finished before" in _again(tmp_path)
    assert time.monotonic() - began < 60


KILLS = 20


def _outcome(place: Path) -> dict[str, Any]:
    """What a sweep leaves, without times and memory: values, objective, metrics, logged lines, bytes of the adapter."""
    return {
        job["number"]: (job["values"], job["objective"], outcome(place / "outputs" / "runs" / job["run"]))
        for job in _jobs(place)
    }


def test_twenty_kills_at_random_moments_change_no_number(tmp_path: Path) -> None:
    """Sweeps of four jobs, killed whole and typed again until there were twenty kills, beside one never killed."""
    command = [*FOUR, "trainer.save_steps=2"]
    assert _start(command, tmp_path / "whole").wait() == 0
    expected = _outcome(tmp_path / "whole")
    assert [job["state"] for job in _jobs(tmp_path / "whole")] == ["finished"] * 4
    draw, kills, sweeps = Random(20), 0, 0
    while kills < KILLS:
        sweeps += 1
        place = tmp_path / f"sweep-{sweeps}"
        trained: dict[str, int] = {}  # when the adapter of a finished job was written
        while True:
            running = _start(command, place)
            try:
                code = running.wait(draw.uniform(1.0, 12.0) if kills < KILLS else None)
            except subprocess.TimeoutExpired:
                _kill(running)
                kills += 1
            else:
                assert code == 0
                break
            finally:
                for job in _jobs(place):
                    if job["state"] == "finished":
                        file = place / "outputs" / "runs" / job["run"] / "adapter" / "adapter_model.safetensors"
                        assert trained.setdefault(job["run"], file.stat().st_mtime_ns) == file.stat().st_mtime_ns
        assert _outcome(place) == expected
