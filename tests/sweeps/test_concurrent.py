"""`sweep.concurrent` from the command line's own entry: real jobs of the tiny model, grouped or one after the other."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.load import launch
from edu_align.run import objective, run
from edu_align.sweeps import launching

WORDS = [
    "-m", "trainer=dpo", "model=tiny", "hardware=cpu", "hardware.dtype=float32", "tracking=off", "dataset.size=40",
    "dataset.max_train_records=8", "trainer.max_steps=2", "trainer.batch_size=4", "evaluation.enabled=false",
    "trainer.beta=0.1,0.3", "adapter.dropout=0,0.1", "sweep.concurrent=4", "sweep.name=four",
]  # fmt: skip


@pytest.fixture
def swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """Sweep in this process and return the files of its jobs."""

    def made() -> list[dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", ["train", *WORDS, f"outputs_root={tmp_path}"])
        launch(lambda config: objective(config.objective, run(config)))
        return [json.loads(path.read_text()) for path in sorted(tmp_path.glob("sweeps/four/jobs/*.json"))]

    return made


def test_on_a_cpu_jobs_go_one_after_the_other_and_it_says_why(
    swept: Callable[[], Any], capfd: pytest.CaptureFixture[str]
) -> None:
    jobs = swept()
    assert [job["state"] for job in jobs] == ["finished"] * 4
    assert capfd.readouterr().out.count("alone: a CPU computes one job with all its cores") == 4


def test_jobs_that_can_train_together_do_and_the_rest_alone(
    swept: Callable[[], Any], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "loses_together", lambda config: "")
    jobs = swept()
    assert [job["state"] for job in jobs] == ["finished"] * 4
    said = capfd.readouterr().out
    assert "edu_align: jobs 0, 2 at once" in said
    assert said.count("alone: adapter.dropout=0.1 draws random numbers") == 2
    assert "2 configs train together on one base model" in said
