"""Run folders: names, atomic records, and finding a run to start from."""

import json
from pathlib import Path

import pytest

from edu_align.errors import UserError
from edu_align.runs.folder import RunFolder, ancestors, find_run, write_json


def test_a_new_folder_says_that_it_is_running(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "mine", "unused", {"seed": 1})
    assert folder.path == tmp_path / "runs" / "mine"
    record = json.loads((folder.path / "run.json").read_text())
    assert (record["state"], record["seed"]) == ("running", 1)
    assert record["started"]


def test_a_taken_name_is_refused(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, "mine", "unused", {})
    with pytest.raises(UserError, match=r"`run_name=mine`.*exists already.*Choose another name"):
        RunFolder.create(tmp_path, "mine", "unused", {})


def test_names_from_the_clock_never_collide(tmp_path: Path) -> None:
    names = [RunFolder.create(tmp_path, None, "sft-x-tiny", {}).path.name for _ in range(3)]
    assert len(set(names)) == 3
    assert all("sft-x-tiny" in name for name in names)


def test_saving_leaves_no_half_written_file(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "mine", "unused", {})
    folder.save(state="finished", metrics={"train/loss": 1.5})
    with pytest.raises(TypeError):
        write_json(folder.path / "run.json", {"state": object()})
    assert json.loads((folder.path / "run.json").read_text())["metrics"] == {"train/loss": 1.5}
    folder.append("metrics.jsonl", {"step": 1})
    folder.append("metrics.jsonl", {"step": 2, "text": "½"})
    lines = (folder.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]


def test_a_run_is_found_by_name_and_by_folder(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, "first", "unused", {}).save(state="finished")
    by_name, by_folder = (find_run("init_from", v, tmp_path) for v in ("first", str(tmp_path / "runs" / "first")))
    assert by_name.path == by_folder.path
    assert by_name.record["state"] == "finished"


@pytest.mark.parametrize("state", ["running", "failed", "interrupted"])
def test_an_unfinished_run_is_no_start(tmp_path: Path, state: str) -> None:
    RunFolder.create(tmp_path, "half", "unused", {}).save(state=state)
    with pytest.raises(UserError, match=rf"`init_from=half`: that run is '{state}', not finished"):
        find_run("init_from", "half", tmp_path)


def test_an_unknown_run_lists_those_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no run yet"):
        find_run("init_from", "nope", tmp_path)
    RunFolder.create(tmp_path, "first", "unused", {})
    with pytest.raises(UserError, match=r"`init_from=nope`: no run\.json.*Newest runs there: first\."):
        find_run("init_from", "nope", tmp_path)


def test_ancestors_go_back_to_the_first_run(tmp_path: Path) -> None:
    first = RunFolder.create(tmp_path, "first", "unused", {"init_from": None})
    second = RunFolder.create(tmp_path, "second", "unused", {"init_from": str(first.path)})
    assert ancestors(None) == []
    assert ancestors(second) == [second.path, first.path]
