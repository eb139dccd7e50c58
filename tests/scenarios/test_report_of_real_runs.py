"""The report of a small sweep that was really trained: the tiny model, two values of beta, and one job that fails."""

from pathlib import Path
from typing import Any

import pytest

from edu_align.reports.html.page import json_lines
from edu_align.reports.sweep.findings import best, caveats
from edu_align.reports.sweep.reading import read_sweep
from edu_align.reports.sweep.write import write_report
from edu_align.utils.errors import UserError
from tests.reports.sweep_builders import job_file, sweep_file

OBJECTIVE = "eval/pair_accuracy_implicit"


def test_a_trained_sweep_is_reported(go: Any, tmp_path: Path) -> None:
    folder = tmp_path / "sweeps" / "real"
    sweep_file(folder, ["trainer.beta"], 3, objective=OBJECTIVE, command=["-m", "trainer=dpo", "trainer.beta=0.1,0.5"])
    for number, beta in enumerate((0.1, 0.5)):
        done = go("trainer=dpo", f"trainer.beta={beta}", f"run_name=real-{number}")
        facts = {"objective": done.record["metrics"][OBJECTIVE], "seconds": done.record["seconds"]}
        job_file(folder, number, {"trainer.beta": beta}, "finished", run=done.path.name, **facts)
    with pytest.raises(UserError) as failed:
        go("trainer=dpo", "dataset.margin=50.0")
    job_file(folder, 2, {"trainer.beta": 0.9}, "failed", error=f"UserError: {failed.value}")

    sweep = read_sweep(folder)
    first, second, lost = sweep.jobs
    for job in (first, second):
        assert len([row for row in json_lines(job.run) if "loss" in row]) == 3
        assert job.peak_gib > 0
        assert job.entries[OBJECTIVE]["clusters"] == 4
        assert {"eval/pair_accuracy_logp", "eval/human_turn_nll"} & set(job.entries)
    assert (lost.objective, lost.run) == (None, None)
    found = best(sweep)
    assert found.chat_command == f"python -m edu_align.chat run={found.job.run.resolve()}"
    assert found.baselines
    assert "chosen on the test split" in " ".join(caveats(sweep))
    page = write_report(folder).read_text(encoding="utf-8")
    for part in ("Learning curves", "Reward margin in training", "dataset.margin"):
        assert part in page
