"""A sweep on a real Ray of this machine: tasks, GPUs that Ray is told of, a killed worker, a cluster to join."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.comments import conf_dir
from tests.killing import until

RAY = ["-m", "hydra/launcher=ray"]
# Small stores, and cores and GPUs that the machine need not have: Ray counts what it is told.
LOCAL = "+hydra.launcher.init={num_cpus:4,num_gpus:2,object_store_memory:80000000}"
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")


@pytest.mark.skipif(find_spec("ray") is not None, reason="ray is installed")
def test_without_ray_it_is_named(sweep: Any) -> None:
    done = sweep(*RAY, "trainer.beta=0.1,0.3")
    assert done.returncode == 2
    assert done.stderr == 'edu_align: error: `hydra/launcher=ray` needs ray: pip install "edu_align[ray]".\n'


def test_every_setting_of_the_launcher_is_explained() -> None:
    lines = (conf_dir() / "hydra" / "launcher" / "ray.yaml").read_text(encoding="utf-8").splitlines()
    keys = [at for at, line in enumerate(lines) if line and not line.startswith(("#", "_target_"))]
    assert len(keys) == 9
    assert all(lines[at - 1].startswith("#") for at in keys)


@needs_ray
@pytest.mark.slow
def test_jobs_on_ray_survive_a_killed_worker_and_are_not_run_twice(sweep: Any) -> None:
    words = [*RAY, LOCAL, "trainer.beta=0.1,0.65,0.3,0.7"]
    done = sweep(*words)
    assert done.returncode == 2, done.stderr
    assert [job["state"] for job in sweep.jobs()] == ["finished", "finished", "finished", "failed"]
    assert sorted(sweep.notes()) == ["0.1 42", "0.3 42", "0.65 42"]
    assert sorted(sweep.notes("start")) == ["0.1 42", "0.3 42", "0.65 42", "0.65 42", "0.7 42"]
    assert (sweep.folder / "log.txt").read_text(encoding="utf-8").count("[job 0] trained 0.1\n") == 1
    again = sweep(*words)
    assert again.returncode == 2
    assert sorted(sweep.notes()) == ["0.1 42", "0.3 42", "0.65 42"]


@needs_ray
@pytest.mark.slow
def test_a_worker_that_dies_each_time_is_a_failed_job(sweep: Any) -> None:
    done = sweep(*RAY, LOCAL, "hydra.launcher.max_retries=1", "trainer.beta=0.6,0.1")
    assert done.returncode == 1, done.stderr
    assert [job["state"] for job in sweep.jobs()] == ["failed", "finished"]
    assert sweep.notes("start").count("0.6 42") == 2
    assert sweep.jobs()[0]["error"].startswith("Ray's task ended in mid-run: ")


@needs_ray
@pytest.mark.slow
def test_each_job_has_the_gpus_that_it_asks_for(sweep: Any) -> None:
    done = sweep(*RAY, LOCAL, "hydra.launcher.num_gpus=1", "trainer.beta=0.1,0.2,0.3,0.4", JOB_SECONDS="1")
    assert done.returncode == 0, done.stderr
    assert {note.split()[0] for note in sweep.notes("gpu")} == {"0", "1"}
    said = [line.rpartition("[job ")[2] for line in done.stdout.splitlines() if "trained" in line]
    assert sorted(said) == ["0] trained 0.1", "1] trained 0.2", "2] trained 0.3", "3] trained 0.4"]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """A Ray that `ray start` began, with a port of its own; gives its address."""
    address = f"127.0.0.1:{20000 + os.getpid() % 10000}"
    program = [sys.executable, "-m", "ray.scripts.scripts"]
    start = [*program, "start", "--head", "--block", f"--port={address.rpartition(':')[2]}", "--num-cpus=2",
             "--include-dashboard=false", "--object-store-memory=80000000"]  # fmt: skip
    with (tmp_path / "ray.out").open("wb") as out:
        running = subprocess.Popen(start, stdout=out, stderr=out)
    try:
        until(lambda: "Ray runtime started" in (tmp_path / "ray.out").read_text(), 120)
        yield address
    finally:
        running.terminate()
        running.wait(60)


@needs_ray
@pytest.mark.slow
def test_a_cluster_is_joined_and_left_as_it_was(sweep: Any, cluster: str) -> None:
    for seed in (1, 2):
        done = sweep(*RAY, f"hydra.launcher.address='{cluster}'", "trainer.beta=0.1,0.3", f"seed={seed}")
        assert done.returncode == 0, done.stderr
    assert sorted(sweep.notes()) == ["0.1 1", "0.1 2", "0.3 1", "0.3 2"]
