"""Listing every run, and finding runs by what people call them."""

import json
import time
from pathlib import Path

import pytest

from edu_align.errors import UserError
from edu_align.runs.folder import UNREADABLE, RunFolder, find_stored, list_runs, read_stored


def make(outputs: Path, name: str, run_id: str, started: str = "2026-01-01T00:00:00+0000", **more: object) -> RunFolder:
    folder = RunFolder.create(outputs / "runs" / name, {"id": run_id})
    folder.save(started=started, **more)
    return folder


def test_all_states_are_listed_newest_first(tmp_path: Path) -> None:
    make(tmp_path, "old", "aaaa00000001", "2026-01-01T00:00:00+0000", state="finished", seconds=4.5, metrics={"x": 1.0})
    make(tmp_path, "new", "aaaa00000002", "2026-01-03T00:00:00+0000")
    make(tmp_path, "bad", "aaaa00000003", "2026-01-02T00:00:00+0000", state="failed")
    (tmp_path / "runs" / "no-run").mkdir()
    (tmp_path / "runs" / "a-file").write_text("")
    runs = list_runs(tmp_path)
    assert [(run.name, run.state) for run in runs] == [("new", "running"), ("bad", "failed"), ("old", "finished")]
    old = runs[-1]
    assert (old.id, old.seconds, old.metrics, old.path) == ("aaaa00000001", 4.5, {"x": 1.0}, tmp_path / "runs" / "old")
    assert (runs[0].seconds, runs[0].metrics) == (None, {})


def test_no_folder_is_no_run(tmp_path: Path) -> None:
    assert list_runs(tmp_path) == []
    assert read_stored(tmp_path / "gone") is None


@pytest.mark.parametrize("text", ['{"state": "runn', "[1]", ""])
def test_a_broken_record_hides_no_other_run(tmp_path: Path, text: str) -> None:
    make(tmp_path, "good", "aaaa00000001")
    (make(tmp_path, "broken", "aaaa00000002").path / "run.json").write_text(text)
    assert {run.name: run.state for run in list_runs(tmp_path)} == {"good": "running", "broken": UNREADABLE}


def test_a_run_is_found_by_folder_name_id_and_start_of_an_id(tmp_path: Path) -> None:
    folder = make(tmp_path, "mine", "abcdef012345")
    make(tmp_path, "other", "abcdee012345")
    words = [str(folder.path), "mine", "abcdef012345", "abcdef", "other"]
    assert [run.name for run in find_stored("runs", words, tmp_path)] == ["mine"] * 4 + ["other"]


def test_what_is_not_there_or_ambiguous_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"`runs`: .* is 'x'\. There is no run yet"):
        find_stored("runs", ["x"], tmp_path)
    make(tmp_path, "tutor-1", "abcdef012345")
    make(tmp_path, "tutor-2", "abcdee012345")
    with pytest.raises(UserError, match=r"Did you mean `tutor-1`\?.*Newest runs there"):
        find_stored("runs", ["tuter-1"], tmp_path)
    with pytest.raises(UserError, match=r"abcde begins the ids of 2 runs"):
        find_stored("runs", ["abcde"], tmp_path)
    with pytest.raises(UserError, match="is 'ab'"):
        find_stored("runs", ["ab"], tmp_path)


def test_ten_thousand_runs_are_listed_in_two_seconds(tmp_path: Path) -> None:
    """In processor time, so that what else this machine does is not counted; the records have the size of real ones."""
    sample = make(tmp_path, "sample", "0", state="finished", seconds=54.0)
    versions = {f"package-{i}": "1.2.3+cpu" for i in range(12)}
    metrics = {f"eval/some_metric_{i}": 0.123456789 * i for i in range(34)}
    record = {**sample.record, "versions": versions, "metrics": metrics, "data": {"notes": ["word " * 200]}}
    text = json.dumps(record, indent=2)
    assert len(text) > 2400
    for number in range(9_999):
        path = tmp_path / "runs" / f"run-{number:05d}"
        path.mkdir()
        (path / "run.json").write_text(text.replace('"id": "0"', f'"id": "{number:012x}"'), encoding="utf-8")
    began, wall = time.process_time(), time.perf_counter()
    runs = list_runs(tmp_path)
    spent = time.process_time() - began
    print(f"10,000 runs: {spent:.2f} s of processor time, {time.perf_counter() - wall:.2f} s")
    assert len(runs) == 10_000
    assert len({run.id for run in runs}) == 10_000
    assert spent < 2
