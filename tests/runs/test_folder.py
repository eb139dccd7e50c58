"""Run folders: names, atomic records, listing all of them, and finding one by what people call it."""

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from edu_align.runs.folder import UNREADABLE, RunFolder, ancestors, find_run, find_stored, list_runs, read_stored
from edu_align.utils.errors import UserError
from edu_align.utils.files import write_json

FACTS: dict[str, Any] = {
    "model": "tiny", "base_model": "b", "adapter": "lora", "trainer": "sft", "metrics": {}, "data": {},
}  # fmt: skip


def begun(root: Path, name: str, **record: Any) -> RunFolder:
    return RunFolder.create(root / "runs" / name, {**FACTS, **record})


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
    said = r"2 runs have ids that start so: abcd12345678, abce12345678\. Give more digits"
    with pytest.raises(UserError, match=said):
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


def test_all_states_are_listed_newest_first(tmp_path: Path) -> None:
    finished = {"state": "finished", "seconds": 4.5, "metrics": {"x": 1.0}}
    begun(tmp_path, "old", id="aaaa00000001", started="2026-01-01T00:00:00+0000", **finished)
    begun(tmp_path, "new", id="aaaa00000002", started="2026-01-03T00:00:00+0000")
    begun(tmp_path, "bad", id="aaaa00000003", started="2026-01-02T00:00:00+0000", state="failed")
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
    begun(tmp_path, "good", id="aaaa00000001")
    (begun(tmp_path, "broken", id="aaaa00000002").path / "run.json").write_text(text)
    assert {run.name: run.state for run in list_runs(tmp_path)} == {"good": "running", "broken": UNREADABLE}


def test_a_run_in_any_state_is_found_by_folder_name_id_and_start_of_an_id(tmp_path: Path) -> None:
    folder = begun(tmp_path, "mine", id="abcdef012345")
    begun(tmp_path, "other", id="abcdee012345")
    words = [str(folder.path), "mine", "abcdef012345", "abcdef", "other"]
    assert [run.name for run in find_stored("runs", words, tmp_path)] == ["mine"] * 4 + ["other"]


def test_what_is_not_there_or_ambiguous_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"`runs`: .* is 'x'\. There is no run yet"):
        find_stored("runs", ["x"], tmp_path)
    begun(tmp_path, "tutor-1", id="abcdef012345")
    begun(tmp_path, "tutor-2", id="abcdee012345")
    for word, said in (
        ("tuter-1", r"Did you mean `tutor-1`\?.*Newest runs there"),
        ("abcde", "abcde begins the ids of 2 runs"),
        ("ab", "is 'ab'"),
    ):
        with pytest.raises(UserError, match=said):
            find_stored("runs", [word], tmp_path)


def test_ten_thousand_runs_are_listed_in_two_seconds(tmp_path: Path) -> None:
    """In processor time, so that what else this machine does is not counted; the records have the size of real ones."""
    sample = begun(tmp_path, "sample", id="0", state="finished", seconds=54.0)
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


@pytest.mark.cases("D11")
def test_a_neighbour_that_cannot_be_read_is_listed_and_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    for name in ("good", "folder", "pipe", "deep", "binary", "large", "refused"):
        (runs / name).mkdir(parents=True)
    (runs / "good" / "run.json").write_text(
        json.dumps({"id": "abc123", "state": "finished", "started": "2026", **FACTS})
    )
    (runs / "folder" / "run.json").mkdir()
    os.mkfifo(runs / "pipe" / "run.json")
    (runs / "deep" / "run.json").write_text("[" * 100_000)
    (runs / "binary" / "run.json").write_bytes(bytes(range(256)))
    with (runs / "large" / "run.json").open("wb") as file:
        file.truncate(1 << 40)
    (runs / "refused" / "run.json").write_text("{}")
    (runs / "loop").symlink_to("loop")
    (runs / "dangling").symlink_to("nowhere")
    original = os.stat

    def stat(path: Any, *rest: Any, **options: Any) -> Any:  # root may read what has mode 000
        if str(path).endswith("refused/run.json"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return original(path, *rest, **options)

    monkeypatch.setattr(os, "stat", stat)
    states = {run.name: run.state for run in list_runs(tmp_path)}
    assert states.pop("good") == "finished"
    assert set(states) == {"folder", "pipe", "deep", "binary", "large", "refused", "loop", "dangling"}
    assert set(states.values()) == {"unreadable"}
    assert find_run("run", "abc", tmp_path).path.name == "good"
    for name in states:
        with pytest.raises(UserError, match=rf"{name}.*cannot be read"):
            find_run("run", name, tmp_path)
    with pytest.raises(UserError, match=r"no run.json in n{300} "):
        find_run("run", "n" * 300, tmp_path)
