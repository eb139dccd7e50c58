"""A worker of a sweep of real runs that is killed in mid-run: its job goes on from its checkpoint, to equal bytes."""

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TINY
from tests.killing import outcome, until
from tests.sweeps.conftest import ROOT
from torture.kills import GONE_ON

pytestmark = pytest.mark.slow
SWEEP = [
    "-m", *TINY, "trainer=dpo", "trainer.beta=0.05,0.1,0.3", "trainer.max_steps=40", "trainer.save_steps=5",
    "evaluation.enabled=false",
]  # fmt: skip
JOBLIB = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
RAY = ["hydra/launcher=ray", "+hydra.launcher.init={num_cpus:2,object_store_memory:80000000}"]
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")


def start(place: Path, *words: str) -> "subprocess.Popen[str]":
    place.mkdir()
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", "edu_align.train", *SWEEP, *words], cwd=place, text=True,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def jobs(place: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(place.glob("outputs/sweeps/*/jobs/*.json"))]


def runs(place: Path) -> list[Path]:
    return [place / "outputs/runs" / str(job["run"]) for job in jobs(place)]


def kept(place: Path) -> bool:
    """Whether the first job runs and has a checkpoint, and another one runs beside it."""
    running = [job for job in jobs(place) if job["state"] == "running" and job["run"]]
    return len(running) == 2 and any(runs(place)[0].glob("checkpoints/checkpoint-*"))


@pytest.mark.parametrize(
    ("launcher", "most"), [(JOBLIB, 2), pytest.param(RAY, 1, marks=needs_ray)], ids=["joblib", "ray"]
)
def test_a_killed_worker_costs_steps_since_the_checkpoint(tmp_path: Path, launcher: list[str], most: int) -> None:
    """`most`: how many jobs go on from a checkpoint. joblib ends all workers where one dies; Ray loses one task."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    said = start(whole).communicate(timeout=900)[0]
    assert [job["state"] for job in jobs(whole)] == ["finished"] * 3, said
    running = start(cut, *launcher)
    until(lambda: running.poll() is not None or kept(cut), 300)
    os.kill(jobs(cut)[0]["pid"], signal.SIGKILL)
    said = running.communicate(timeout=900)[0]
    assert running.returncode == 0, said
    gone_on = [GONE_ON.search((run / "log.txt").read_text(encoding="utf-8")) for run in runs(cut)]
    assert gone_on[0] is not None, said
    assert int(gone_on[0][1]) >= 5
    assert 1 <= sum(found is not None for found in gone_on) <= most
    for one, other in zip(runs(cut), runs(whole), strict=True):
        assert outcome(one) == outcome(other)
