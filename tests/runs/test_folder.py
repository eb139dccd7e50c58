"""Run folders: names, atomic records, and finding a run to start from."""

import json
from pathlib import Path
from typing import Any

import pytest

from edu_align.errors import UserError
from edu_align.runs.folder import RunFolder, ancestors, find_run
from edu_align.runs.writing import write_json


def begun(root: Path, name: str, **record: Any) -> RunFolder:
    return RunFolder.create(root / "runs" / name, record)


def test_a_new_folder_says_that_it_is_running(tmp_path: Path) -> None:
    folder = begun(tmp_path, "mine", seed=1)
    assert folder.path == tmp_path / "runs" / "mine"
    record = json.loads((folder.path / "run.json").read_text())
    assert (record["state"], record["seed"]) == ("running", 1)
    assert record["started"]


def test_saving_leaves_no_half_written_file(tmp_path: Path) -> None:
    folder = begun(tmp_path, "mine")
    folder.save(state="finished", metrics={"train/loss": 1.5})
    with pytest.raises(TypeError):
        write_json(folder.path / "run.json", {"state": object()})
    assert json.loads((folder.path / "run.json").read_text())["metrics"] == {"train/loss": 1.5}
    folder.append("metrics.jsonl", {"step": 1})
    folder.append("metrics.jsonl", {"step": 2, "text": "½"})
    lines = (folder.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]


def test_a_run_is_found_by_name_and_by_folder(tmp_path: Path) -> None:
    begun(tmp_path, "first").save(state="finished")
    by_name, by_folder = (find_run("init_from", v, tmp_path) for v in ("first", str(tmp_path / "runs" / "first")))
    assert by_name.path == by_folder.path
    assert by_name.record["state"] == "finished"


@pytest.mark.parametrize("state", ["running", "failed", "interrupted"])
def test_an_unfinished_run_is_no_start(tmp_path: Path, state: str) -> None:
    begun(tmp_path, "half").save(state=state)
    with pytest.raises(UserError, match=rf"`init_from=half`: that run is '{state}', not finished"):
        find_run("init_from", "half", tmp_path)


def test_an_unknown_run_lists_those_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no run yet"):
        find_run("init_from", "nope", tmp_path)
    begun(tmp_path, "first")
    with pytest.raises(UserError, match=r"`init_from=nope`: no run\.json.*Newest runs there: first\."):
        find_run("init_from", "nope", tmp_path)


def test_a_run_is_found_by_its_id_or_the_start_of_it(tmp_path: Path) -> None:
    for name, known in (("a", "abcd12345678"), ("b", "abce12345678")):
        begun(tmp_path, name, id=known).save(state="finished")
    assert find_run("run", "abcd", tmp_path).path.name == "a"
    assert find_run("run", "abce12345678", tmp_path).path.name == "b"
    with pytest.raises(
        UserError, match=r"2 runs have ids that start so: abcd12345678, abce12345678\. Give more digits"
    ):
        find_run("run", "abc", tmp_path)


def test_of_several_attempts_the_newest_finished_one_is_found(tmp_path: Path) -> None:
    states = {"x": ("finished", "2026-01-01"), "x-2": ("finished", "2026-01-02"), "x-3": ("failed", "2026-01-03")}
    for name, (state, started) in states.items():
        begun(tmp_path, name, id="abcd12345678", started=started).save(state=state)
    assert find_run("run", "abcd1234", tmp_path).path.name == "x-2"
    assert find_run("run", "x", tmp_path).path.name == "x"


def test_a_record_that_is_no_json_is_named(tmp_path: Path) -> None:
    (begun(tmp_path, "torn").path / "run.json").write_text("{")
    with pytest.raises(UserError, match=r"run\.json cannot be read .*Restore that file, or move the folder away"):
        find_run("run", "torn", tmp_path)


def test_ancestors_go_back_to_the_first_run(tmp_path: Path) -> None:
    first = begun(tmp_path, "first", init_from=None)
    second = begun(tmp_path, "second", init_from=str(first.path))
    assert ancestors(None) == []
    assert ancestors(second) == [second.path, first.path]
