"""A sweep in W&B, offline: jobs under one group, and the table as a run of its own, read back from W&B's files."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.schema import TrackingConfig
from edu_align.reports.sweep.reading import read_sweep
from edu_align.reports.sweep.table import flat
from edu_align.runs.folder import RunFolder
from edu_align.sweeps.tracking import grouped, log_sweep
from edu_align.tracking import GROUP, tracking
from tests.reports.sweep_builders import METRIC, grid_sweep, job_file
from tests.test_tracking import OFFLINE, TRACKED, offline_runs, read_back, tables

pytestmark = pytest.mark.usefixtures("no_wandb_key")


def group_of(folder: RunFolder, config: TrackingConfig = OFFLINE) -> str:
    with tracking(config, folder, {}) as tracker:
        tracker.log({"train/loss": 1.0}, step=1)
    return read_back(offline_runs(folder.path)[-1]).group


def test_jobs_of_one_process_share_the_group_of_their_sweep_only(tmp_path: Path) -> None:
    folders = [RunFolder.create(tmp_path / "runs" / f"run-{number}", {}) for number in range(6)]
    assert group_of(folders[0]) == ""
    with grouped("first"):
        assert [group_of(folder) for folder in folders[1:3]] == ["first", "first"]
        named = TrackingConfig(name="wandb", mode="offline", group="mine")
        assert group_of(folders[3], named) == "mine"
    with grouped("second"):
        assert group_of(folders[4]) == "second"
    assert group_of(folders[5]) == ""


def test_a_group_that_the_user_named_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GROUP, "mine")
    with grouped("sweep"):
        assert os.environ[GROUP] == "mine"
    assert os.environ[GROUP] == "mine"
    monkeypatch.delenv(GROUP)
    with pytest.raises(RuntimeError), grouped("sweep"):
        raise RuntimeError
    assert GROUP not in os.environ


def test_the_table_of_a_sweep_reads_back_whole(tmp_path: Path) -> None:
    import wandb

    folder = grid_sweep(tmp_path)
    job_file(folder, 6, {"trainer.beta": 0.9}, "failed", error="ValueError: no")
    log_sweep(folder, OFFLINE)
    assert wandb.run is None
    (file,) = offline_runs(folder)
    found = read_back(file)
    sweep = read_sweep(folder)
    names, rows = flat(sweep)
    (table,) = tables(file, "sweep/jobs", found)
    assert table["columns"] == names
    assert len(table["data"]) == 7
    assert table["data"] == [list(row) for row in rows]
    best = sweep.ranked()[0]
    expected = {"best/objective": best.objective, "best/run": best.run.name} | {
        "best/trainer.beta": best.values["trainer.beta"], "jobs/finished": 6, "jobs/failed": 1,
    }  # fmt: skip
    assert found.summary | expected == found.summary
    assert (found.group, found.exit_code, found.config["objective"]) == ("grid", 0, METRIC)
    assert found.job_type == "sweep"


def test_a_sweep_logged_again_continues_its_run(tmp_path: Path) -> None:
    folder = grid_sweep(tmp_path)
    log_sweep(folder, OFFLINE)
    log_sweep(folder, OFFLINE)
    first, second = (read_back(file) for file in offline_runs(folder))
    assert first.id == second.id == json.loads((folder / "wandb.json").read_text())["id"]


def test_off_writes_nothing(tmp_path: Path) -> None:
    folder = grid_sweep(tmp_path)
    before = sorted(folder.iterdir())
    log_sweep(folder, TrackingConfig(name="off"))
    assert sorted(folder.iterdir()) == before


def test_a_trained_run_is_filed_under_its_sweep(go: Any) -> None:
    with grouped("beta-sweep"):
        done = go("trainer=sft", *TRACKED, "evaluation.enabled=false", "trainer.max_steps=1")
    assert read_back(offline_runs(done.path)[0]).group == "beta-sweep"
    assert "beta-sweep" not in (done.path / "config.yaml").read_text()
