"""Training's reference pass on a busy machine: batches a second alone, beside a neighbour, and of two runs at once.

Each way in which threads wait for each other is a row: the libraries' own (`own`), libgomp's after a short spin
(`GOMP_SPINCOUNT`, see `utils.program.share_processors`), and asleep at once (`OMP_WAIT_POLICY=passive`). `ours` is
batches of 16 pairs that smollm2 scores a second, of both runs together for `two`, `peer` the same with the libraries'
own way. The neighbour multiplies matrices in two threads and waits in the libraries' own way.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from edu_align.runs.environment import machine
from edu_align.utils.program import program

ON_REQUEST = True
# What libgomp does by itself; set, because `share_processors` leaves alone what it finds.
OWN = {"GOMP_SPINCOUNT": "300000"}
WAYS = {
    "own": OWN,
    "spin_1000": {"GOMP_SPINCOUNT": "1000"},
    "spin_10000": {"GOMP_SPINCOUNT": "10000"},
    "passive": {"OMP_WAIT_POLICY": "passive"},
}
SECONDS = 40  # of one measurement, after the first batch
WORDS = (
    "trainer=dpo", "model=smollm2", "dataset=edu_tutor", "hardware=cpu", "tracking=off", "evaluation.enabled=false",
    "trainer.precompute_reference=false", "trainer.batch_size=16", "dataset.max_train_records=128",
)  # fmt: skip


def measure() -> list[dict[str, Any]]:
    found = {way: rates(setting) for way, setting in WAYS.items()}
    return [
        {
            "name": f"busy_{where}_{way}", "ours": rate, "peer": found["own"][where], "peer_name": "own way of waiting",
            "ratio": rate / found["own"][where], "unit": "batches/s", "machine": machine(),
        }
        for way, measured in found.items()
        for where, rate in measured.items()
    ]  # fmt: skip


def rates(setting: dict[str, str]) -> dict[str, float]:
    """Batches a second with this setting: `alone`, beside a `neighbour`, and `two` runs together."""
    alone = sum(side_by_side(setting, 1))
    neighbour = subprocess.Popen([sys.executable, "-m", "benchmarks.busy", "neighbour"], env=_environment(OWN))
    try:
        beside = sum(side_by_side(setting, 1))
    finally:
        neighbour.kill()
        neighbour.wait()
    return {"alone": alone, "neighbour": beside, "two": sum(side_by_side(setting, 2))}


def side_by_side(setting: dict[str, str], many: int) -> list[float]:
    """Batches a second of each of `many` processes that score at the same time."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.json" for number in range(many)]
        command = [sys.executable, "-m", "benchmarks.busy"]
        running = [
            subprocess.Popen([*command, str(file), str(many)], env=_environment(setting), stdout=subprocess.DEVNULL)
            for file in files
        ]
        if any(process.wait() for process in running):
            raise RuntimeError("a measuring process failed; its error stands above")
        return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def _environment(setting: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    return {**kept, **setting}


@program
def main() -> None:
    if sys.argv[1] == "neighbour":
        multiply()
    target, many = Path(sys.argv[1]), int(sys.argv[2])
    target.write_text(json.dumps(scored(target, many)), encoding="utf-8")


def multiply() -> None:
    import torch

    torch.set_num_threads(2)
    left = torch.ones(512, 512)
    while True:
        left @ left


def scored(target: Path, many: int) -> float:
    """Batches a second, counted while all `many` processes beside `target` are at work."""
    from benchmarks.trainer_process import build

    with tempfile.TemporaryDirectory() as folder:
        _, _, trainer = build("ours", list(WORDS), Path(folder))
        batches = list(trainer.get_train_dataloader())
        trainer.compute_ref_log_probs(trainer.model, batches[0])
        target.with_suffix(".ready").touch()
        while len(list(target.parent.glob("*.ready"))) < many:
            time.sleep(0.1)
        done, began = 0, time.monotonic()
        while time.monotonic() - began < SECONDS:
            trainer.compute_ref_log_probs(trainer.model, batches[done % len(batches)])
            done += 1
        return done / (time.monotonic() - began)


if __name__ == "__main__":
    main()
