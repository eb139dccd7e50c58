"""A sweep of real runs on a real SLURM of one node: one job is killed, one is pre-empted, and nothing is lost."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TINY
from tests.killing import until
from tests.sweeps.cluster import slurm
from tests.sweeps.conftest import ROOT

pytestmark = pytest.mark.slurm
STEPS = 60  # long enough to be killed in its middle, and a few seconds on a CPU
SWEEP = [
    "-m", *TINY, "hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=30", "hydra.launcher.cpus_per_task=1",
    "trainer=dpo", "trainer.beta=0.05,0.1", "trainer.learning_rate=1e-3,2e-3", f"trainer.max_steps={STEPS}",
]  # fmt: skip


class Sweep:
    def __init__(self, place: Path, environment: dict[str, str]) -> None:
        self.place = place
        self.environment = environment | {"PYTHONPATH": str(ROOT)}
        self.command = [sys.executable, "-m", "edu_align.train", *SWEEP]

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command, cwd=self.place, env=self.environment, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip

    def job(self, number: int) -> dict[str, Any]:
        found = list(self.place.glob(f"outputs/sweeps/*/jobs/{number:04d}.json"))
        return json.loads(found[0].read_text(encoding="utf-8")) if found else {"state": "waiting", "run": None}

    def trains(self, number: int) -> bool:
        """Whether the job is in mid-run: it has made a few of its steps."""
        job = self.job(number)
        log = self.place / "outputs" / "runs" / str(job["run"]) / "metrics.jsonl"
        return job["state"] == "running" and log.exists() and len(log.read_text().splitlines()) > 3

    def id(self, number: int) -> str:
        """SLURM's id of the job."""
        (path,) = self.place.glob("outputs/sweeps/*/slurm.json")
        return str(json.loads(path.read_text())[str(number)])


def test_a_killed_and_a_preempted_job_end_in_a_complete_sweep(tmp_path: Path) -> None:
    with slurm(tmp_path) as environment:
        sweep = Sweep(tmp_path, environment)
        running = sweep.start()
        until(lambda: sweep.trains(0) or running.poll() is not None, 300)
        os.kill(sweep.job(0)["pid"], signal.SIGKILL)
        until(lambda: sweep.trains(1) or running.poll() is not None, 300)
        before = sweep.job(1)["pid"]
        subprocess.run(["scancel", "--signal=USR2", sweep.id(1)], env=sweep.environment, check=True)
        output, _ = running.communicate(timeout=900)
        assert running.returncode == 1, output
        assert [sweep.job(number)["state"] for number in range(4)] == ["failed", "finished", "finished", "finished"]
        assert f"SLURM's job {sweep.id(0)} ended in mid-run" in sweep.job(0)["error"]
        assert sweep.job(1)["pid"] != before  # it was started again, by the queue
        started = [sweep.job(number)["started"] for number in range(1, 4)]
        again = sweep.start()
        output, _ = again.communicate(timeout=900)
        assert again.returncode == 0, output
        assert [sweep.job(number)["state"] for number in range(4)] == ["finished"] * 4
        assert [sweep.job(number)["started"] for number in range(1, 4)] == started
        for number in range(4):
            record = json.loads((tmp_path / "outputs" / "runs" / sweep.job(number)["run"] / "run.json").read_text())
            assert (record["state"], record["metrics"]["train/steps"]) == ("finished", STEPS)
