"""A GPU for every job, with an nvidia-smi that lists GPUs which are not there."""

import os
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from edu_align.config.text import for_hydra
from edu_align.sweeps.devices import chosen, share_out, visible
from edu_align.utils.errors import UserError
from tests.sweeps.conftest import fake_gpus

JOBLIB = ["-m", "hydra/launcher=joblib"]


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def there(count: int) -> None:
        monkeypatch.setenv("PATH", fake_gpus(tmp_path, count))

    return there


def test_the_gpus_are_those_that_nvidia_smi_lists_and_cuda_may_see(gpus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(3)
    assert visible() == ["0", "1", "2"]
    for asked, expected in (("2,0", ["2", "0"]), ("", []), ("1,5", ["1"]), ("GPU-5f", ["GPU-5f"]), ("-1", [])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", asked)
        assert visible() == expected, asked
    monkeypatch.setenv("PATH", "")
    assert visible() == []


def test_which_gpus_jobs_get(gpus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(2)
    assert chosen("auto", "auto") == ["0", "1"]
    assert chosen("1", "auto") == ["1"]
    assert chosen("off", "cuda") == chosen("auto", "cpu") == []
    with pytest.raises(UserError, match=r"`sweep.gpus=0,7`: this machine has no GPU 7. It has 0 \| 1. Set sweep.gpus"):
        chosen("0,7", "auto")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(UserError, match=r"has no GPU 1. It has 0. \(CUDA_VISIBLE_DEVICES=0 leaves out others.\)"):
        chosen("1", "auto")
    gpus(0)
    with pytest.raises(UserError, match=r"has no GPU 1. It has none that nvidia-smi lists."):
        chosen("1", "auto")


def config(n_jobs: int = -1, asked: str = "auto", target: str = "hydra_joblib.JoblibLauncher") -> Any:
    launcher = {"_target_": target, "n_jobs": n_jobs}
    hydra = {"launcher": launcher, "runtime": {"choices": {"hydra/launcher": "basic"}}}
    return OmegaConf.create({"sweep": {"gpus": asked}, "hardware": {"device": "auto"}, "hydra": hydra})


def test_there_are_as_many_workers_as_gpus(gpus: Any) -> None:
    gpus(2)
    made = config()
    assert share_out(made) == ["0", "1"]
    assert made.hydra.launcher.n_jobs == 2
    assert share_out(config(1)) == ["0", "1"]
    with pytest.raises(UserError, match=r"`hydra.launcher.n_jobs=3` is more than the 2 GPUs of this sweep \(0 \| 1\)"):
        share_out(config(3))
    assert share_out(config(3, "off")) == []
    assert share_out(config(target="x.BasicLauncher")) == []
    with pytest.raises(
        UserError, match=r"`sweep.gpus=0,1` gives each of several jobs a GPU, and this launcher \(basic"
    ):
        share_out(config(asked="0,1", target="x.BasicLauncher"))
    gpus(0)
    made = config()
    assert share_out(made) == []
    assert made.hydra.launcher.n_jobs == -1


def test_commas_between_gpus_part_no_values() -> None:
    assert for_hydra(["sweep.gpus=0,1", "run_name=a,b"], several=True) == ["sweep.gpus='0,1'", "run_name=a,b"]


def test_each_job_has_a_gpu_that_no_other_has_meanwhile(sweep: Any) -> None:
    path = fake_gpus(sweep.place, 2)
    done = sweep(*JOBLIB, "trainer.beta=0.1,0.2,0.3", "seed=1,2", PATH=path, JOB_SECONDS="0.4", TMPDIR=str(sweep.place))
    assert done.returncode == 0, done.stderr
    assert sweep.record["gpus"] == ["0", "1"]
    noted = [note.split() for note in sweep.notes("gpu")]
    assert {gpu for gpu, *_ in noted} == {"0", "1"} == {job["gpu"] for job in sweep.jobs()}
    for gpu in ("0", "1"):
        spans = sorted((float(began), float(ended)) for one, began, ended in noted if one == gpu)
        assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_a_gpu_that_is_chosen_is_the_only_one(sweep: Any) -> None:
    path = fake_gpus(sweep.place, 3)
    words = [*JOBLIB, "trainer.beta=0.1,0.2", "sweep.gpus=2"]
    assert sweep(*words, PATH=path, TMPDIR=str(sweep.place)).returncode == 0
    assert {note.split()[0] for note in sweep.notes("gpu")} == {"2"}
    refused = sweep(*JOBLIB, "trainer.beta=0.1,0.2", "sweep.gpus=0,7", PATH=path)
    assert refused.returncode == 2
    assert refused.stderr.startswith("edu_align: error: `sweep.gpus=0,7`: this machine has no GPU 7. It has 0 | 1 | 2.")


def test_without_gpus_the_threads_are_shared_out(sweep: Any) -> None:
    plain = {"PATH": fake_gpus(sweep.place, 0)}
    command = sweep.command(*JOBLIB, "hydra.launcher.n_jobs=2", "trainer.beta=0.1,0.2")
    environment = sweep.environment(**plain)
    environment.pop("OMP_NUM_THREADS", None)
    done = subprocess.run(command, cwd=sweep.place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cores = len(os.sched_getaffinity(0))
    assert sweep.notes("threads") == [str(max(1, cores // 2))] * 2
    assert sweep.record["gpus"] == []


def test_lines_of_jobs_at_once_have_their_number_and_are_in_the_log(sweep: Any) -> None:
    done = sweep(*JOBLIB, "hydra.launcher.n_jobs=2", "trainer.beta=0.1,0.2,0.8")
    lines = [line for line in done.stdout.splitlines() if "trained" in line]
    assert sorted(lines) == ["[job 0] trained 0.1", "[job 1] trained 0.2"]
    log = (sweep.folder / "log.txt").read_text(encoding="utf-8")
    assert all(f"\n{line}\n" in log for line in lines)
    assert "[job 2] edu_align: job 2 failed: RuntimeError: CUDA out of memory" in done.stderr
    assert "\n[job 2] edu_align: job 2 failed: RuntimeError: CUDA out of memory\n" in log
    assert f"edu_align: sweep folder {os.path.join('outputs', 'sweeps', sweep.folder.name)}\n" in log
    alone = sweep("-m", "trainer.beta=0.3,0.4")
    assert "\ntrained 0.3\n" in alone.stdout
