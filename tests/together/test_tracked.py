"""W&B with several live runs in one process: each run's numbers reach its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edu_align.together import run_together
from tests.stored import read_run
from tests.tracking.test_tracker import TRACKED, offline_runs, read_back


def test_every_run_has_its_own_wandb_run(tiny: Callable[..., Any], tmp_path: Path) -> None:
    shared = ["trainer=dpo", "evaluation.enabled=false", *TRACKED, f"outputs_root={tmp_path}"]
    done = run_together([tiny(*shared, f"trainer.beta={beta}") for beta in (0.1, 0.7)])
    seen = []
    for folder, beta in zip(done, (0.1, 0.7), strict=True):
        assert not isinstance(folder, Exception), folder
        (file,) = offline_runs(folder.path)
        found = read_back(file)
        assert found.exit_code == 0
        assert found.id == folder.record["wandb_id"]
        assert found.config["trainer"]["beta"] == beta
        losses = [row["train/loss"] for row in found.history if "train/loss" in row]
        assert losses == [line["loss"] for line in read_run(folder.path).history if "loss" in line]
        seen.append(losses)
    assert seen[0] != seen[1]
