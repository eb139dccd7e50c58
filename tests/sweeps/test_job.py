"""What a job's file says of its run."""

from pathlib import Path

import pytest

from edu_align.runs.folder import NO_LISTENER, RunFolder
from edu_align.sweeps.job import JobListener, listener
from edu_align.sweeps.state import SweepFolder


@pytest.mark.parametrize(("writes", "run"), [(True, "dpo-1"), (False, None)])
def test_a_jobs_file_names_its_run(tmp_path: Path, writes: bool, run: str | None) -> None:
    sweep = SweepFolder(tmp_path)
    told = JobListener(sweep.job_path(0), sweep.add(0, ["seed=1"], {"seed": 1}))
    told.run_started(RunFolder(tmp_path / "runs" / "dpo-1", {"id": "abc"}, writes))
    told.metrics(1, {"train/loss": 9.0})  # no search asked for pruning
    job = sweep.job(0)
    assert (job["run"], job["run_id"]) == (run, run and "abc")
    assert listener() is NO_LISTENER
