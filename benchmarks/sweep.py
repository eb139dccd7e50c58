"""Sweeps: eight DPO jobs (beta x learning rate) on Bridge with smollm2 beside eight scripts of TRL; and many tiny jobs.

Every TRL job is a process of its own, as a user without a sweep starts them; ours is one command. Both train LoRA of
rank 32 on the same 64 pairs in the same order, 8 a step, and no model is measured. The same command again is timed too.
TRL's losses in bfloat16 are higher, because PEFT rounds most of a young adapter away there
(`edu_align/fused/lora.py`), so ours must not be above them, and must equal those of TRL in float32 for the job that
learns fastest.
The data is read from the folder that EDU_ALIGN_DATA names. A grid of tiny jobs says what a job costs beside training.
"""

import json
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.data import require_data
from benchmarks.trainer_process import build
from edu_align.runs.environment import machine
from edu_align.utils.program import program

BETAS, RATES = (0.05, 0.1, 0.2, 0.4), ("1e-4", "2e-4")
WORDS = (
    "trainer=dpo", "dataset=bridge", "model=smollm2", "hardware=cpu", "tracking=off", "evaluation.enabled=false",
    "trainer.batch_size=8", "trainer.max_steps=8", "dataset.max_train_records=64", "dataset.max_eval_records=1",
)  # fmt: skip
TINY = (
    "model=tiny", "dataset.size=60", "dataset.max_train_records=8", "hardware=cpu", "tracking=off",
    "trainer.max_steps=1", "trainer.batch_size=4", "evaluation.enabled=false",
)  # fmt: skip
TINY_JOBS = 200


def measure() -> list[dict[str, Any]]:
    """`ratio` says how many times faster ours is. Errors: no EDU_ALIGN_DATA; AssertionError for other losses."""
    require_data("sweep", "bridge")
    return [*eight_jobs(), many_jobs()]


def eight_jobs() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        first, losses = _sweep(folder)
        again, same = _sweep(folder)
        assert same == losses
        began = time.perf_counter()
        peers = [_script(beta, rate, Path(folder) / "loss.json") for beta, rate in product(BETAS, RATES)]
        theirs = time.perf_counter() - began
        exact = _script(BETAS[-1], RATES[-1], Path(folder) / "loss.json", "hardware.dtype=float32")
    print(f"mean losses, ours {losses}, TRL {peers}, the last job with TRL in float32 {exact}", flush=True)
    worse = max(one - other for one, other in zip(losses, peers, strict=True))
    assert worse < 0.02, f"a loss is {worse} above TRL's: {losses} and {peers}"
    assert abs(losses[-1] - exact) < 0.02, f"the last loss is {losses[-1]}, with TRL in float32 {exact}"
    return [_row("sweep_8_jobs_seconds", first, theirs), _row("sweep_8_jobs_again_seconds", again, theirs)]


def many_jobs(name: str = "sweep_tiny_job_seconds", *launcher: str, workers: int = 1) -> dict[str, Any]:
    """Seconds of a worker a job of a grid of tiny jobs, start included; the peer is the training in it.

    `launcher`: words that choose one, which runs `workers` jobs at once.
    """
    with tempfile.TemporaryDirectory() as folder:
        rates = ",".join(f"{rate}e-6" for rate in range(1, TINY_JOBS + 1))
        seconds = workers * _train(folder, *TINY, *launcher, f"trainer.learning_rate={rates}")
        trained = [_run(folder, job)["metrics"]["train/runtime"] for job in _jobs(folder)]
    assert len(trained) == TINY_JOBS
    return _row(name, seconds / TINY_JOBS, sum(trained) / TINY_JOBS) | {"peer_name": "its training alone"}


def _sweep(folder: str) -> tuple[float, list[float]]:
    swept = [f"trainer.beta={','.join(map(str, BETAS))}", f"trainer.learning_rate={','.join(RATES)}"]
    seconds = _train(folder, *WORDS, *swept)
    return seconds, [_run(folder, job)["metrics"]["train/loss"] for job in _jobs(folder)]


def _train(folder: str, *words: str) -> float:
    command = [sys.executable, "-m", "edu_align.train", "-m", *words, f"outputs_root={folder}"]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def _jobs(folder: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).glob("sweeps/*/jobs/*.json"))]


def _run(folder: str, job: dict[str, Any]) -> Any:
    return json.loads((Path(folder) / "runs" / job["run"] / "run.json").read_text(encoding="utf-8"))


def _script(beta: float, rate: str, target: Path, *words: str) -> float:
    """The mean training loss of one TRL job."""
    settings = [f"trainer.beta={beta}", f"trainer.learning_rate={rate}", *words]
    command = [sys.executable, "-m", "benchmarks.sweep", str(target), *settings]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return float(json.loads(target.read_text(encoding="utf-8")))


def _row(name: str, ours: float, peer: float) -> dict[str, Any]:
    return {
        "name": name, "ours": ours, "peer": peer, "peer_name": "8 TRL scripts", "ratio": peer / ours, "unit": "s",
        "machine": machine(),
    }  # fmt: skip


@program
def main() -> None:
    target, *words = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        _, _, trainer = build("trl", [*WORDS, *words, "hardware.per_device_batch_size=8"], Path(folder))
        loss = trainer.train().training_loss
    Path(target).write_text(json.dumps(loss), encoding="utf-8")


if __name__ == "__main__":
    main()
