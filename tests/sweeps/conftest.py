"""A stand-in for training: a program like edu_align.train whose jobs write a line and return a number."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What a job does is told by its beta: it writes a line when it starts and one when it is done.
PROGRAM = """
import os, sys, time
from edu_align.launch import launch
from edu_align.utils.errors import UserError

def job(cfg):
    beta = cfg.trainer.beta
    note(f"start {beta} {cfg.seed}")
    began = time.time()
    time.sleep(float(os.environ.get("JOB_SECONDS", "0")))
    if beta == 0.7: raise UserError("`trainer.beta=0.7` is refused here.")
    if beta == 0.8: raise RuntimeError("CUDA out of memory")
    if beta == 0.9: return float("nan")
    if beta == 0.6: os.kill(os.getpid(), 9)
    if beta == 0.65 and not os.path.exists("killed"):
        open("killed", "w").close()
        os.kill(os.getpid(), 9)
    if beta == 0.5 and not os.path.exists("second"): raise KeyboardInterrupt
    note(f"done {beta} {cfg.seed}")
    note(f"gpu {os.environ.get('CUDA_VISIBLE_DEVICES')} {began} {time.time()}")
    note(f"threads {os.environ.get('OMP_NUM_THREADS')}")
    print("trained", beta)
    from edu_align.sweeps.job import listener
    for step in (1, 3, 9):
        listener().metrics(step, {"train/score": -abs(beta - 0.1)})
    return -abs(beta - 0.1)

def note(text):
    with open("notes.txt", "a") as file:
        file.write(text + "\\n")

if __name__ == "__main__":
    launch(job)
    assert "torch" not in sys.modules
"""


@dataclass
class Sweeps:
    """A folder with the stand-in program in it."""

    place: Path

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "job.py", *words, "trainer=dpo"]

    def environment(self, **variables: str) -> dict[str, str]:
        plain = {key: value for key, value in os.environ.items() if key not in ("EDU_ALIGN_DATA", "HYDRA_FULL_ERROR")}
        path = os.pathsep.join(filter(None, [str(ROOT), plain.get("PYTHONPATH")]))
        return {**plain, "PYTHONPATH": path, **variables}

    def __call__(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), cwd=self.place, env=self.environment(**variables), capture_output=True, text=True,
            check=False, timeout=600,
        )  # fmt: skip

    def start(self, *words: str, **variables: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*words), cwd=self.place, env=self.environment(**variables), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    @property
    def folder(self) -> Path:
        (folder,) = (self.place / "outputs" / "sweeps").iterdir()
        return folder

    @property
    def record(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "sweep.json").read_text(encoding="utf-8")))

    def jobs(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((self.folder / "jobs").glob("*.json"))]

    def notes(self, word: str = "done") -> list[str]:
        path = self.place / "notes.txt"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [line.removeprefix(f"{word} ") for line in lines if line.startswith(f"{word} ")]


def fake_gpus(place: Path, count: int) -> str:
    """A PATH on which nvidia-smi lists `count` GPUs."""
    folder = place / f"smi-{count}"
    folder.mkdir(exist_ok=True)
    program = folder / "nvidia-smi"
    program.write_text("#!/bin/sh\n" + "".join(f"echo {number}\n" for number in range(count)), encoding="utf-8")
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.fixture
def sweep(tmp_path: Path) -> Callable[..., Any]:
    """`sweep("-m", "trainer.beta=0.1,0.3")`: run the stand-in program in an empty folder."""
    (tmp_path / "job.py").write_text(PROGRAM, encoding="utf-8")
    return Sweeps(tmp_path)
