"""sources.json: the data, runs and code that a table rests on, without paths of the machine that made it."""

import json
from pathlib import Path
from typing import Any

import pytest

from edu_align.data.fingerprint import MOST_FILES, files_read
from edu_align.reports.provenance import NAME, shown_command, write_sources
from edu_align.runs.folder import StoredRun
from edu_align.utils.hashing import sha256
from tests.conftest import config_of

HASH, OTHER = "a" * 64, "b" * 64


def stored(folder: Path, name: str, parent: StoredRun | None = None, files: Any = None) -> StoredRun:
    """A run on MRBench that is written as run.json has it; `files` None: a record of before they were kept."""
    run = folder / "runs" / name
    (run / "evaluation").mkdir(parents=True)
    data: dict[str, Any] = {"sources": {"mrbench": {"read": 203, "kept": 200, "note": "", "files": ["/somewhere/x"]}}}
    data |= {"fingerprints": {"mrbench": HASH}} | ({"files": {"mrbench": files}} if files else {})
    record = {
        "id": f"id-{name}",
        "trainer": "dpo",
        "seed": 1,
        "data": data,
        "git": {"commit": "c0ffee", "dirty": False},
    }
    record |= {"init_from": str(parent.path), "parent": parent.id} if parent else {"init_from": None, "parent": None}
    (run / "run.json").write_text(json.dumps(record))
    (run / "test.json").write_text(json.dumps({"key": {"data": {"mrbench": sha256(name)}}}))
    (run / "evaluation" / "test.json").write_text(json.dumps({"files": {"DPO": {"pair_accuracy": "test.json"}}}))
    return StoredRun(run, record)


def test_what_a_table_rests_on(tmp_path: Path) -> None:
    start = stored(tmp_path, "start", files={"mrbench/devset.json": OTHER})
    folds = [stored(tmp_path, f"fold-{i}", start, {"mrbench/devset.json": OTHER}) for i in range(2)]
    place = write_sources(tmp_path, ["python", "-m", "edu_align.crossfit", f"data_root={tmp_path}/data"], folds, "test")
    assert place == tmp_path / NAME
    assert str(tmp_path) not in place.read_text()
    found = json.loads(place.read_text())
    assert found["command"] == "python -m edu_align.crossfit data_root=<data>"
    assert [run["id"] for run in found["runs"]] == ["id-fold-0", "id-fold-1", "id-start"]
    assert {run["commit"] for run in found["runs"]} == {"c0ffee"}
    assert found["code"]["versions"]["edu_align"]
    (data,) = found["data"]
    assert data == {
        "source": "mrbench", "read": 203, "kept": 200, "note": "", "files": {"mrbench/devset.json": OTHER},
        "records": HASH, "runs": ["fold-0", "fold-1", "start"],
    }  # fmt: skip
    assert found["measured"] == {"mrbench": sorted(sha256(name) for name in ("fold-0", "fold-1", "start"))}


def test_what_an_older_record_does_not_say_is_null(tmp_path: Path) -> None:
    """Nor is what lies at the place of the start another run that came there later."""
    start = stored(tmp_path, "start")
    run = stored(tmp_path, "old", start)
    (start.path / "run.json").write_text(json.dumps(start.record | {"id": "another"}))
    found = json.loads(write_sources(tmp_path, ["x"], [run], "validation").read_text())
    assert [each["name"] for each in found["runs"]] == ["old"]
    assert found["data"][0]["files"] is None
    assert found["runs"][0]["machine"] is None
    assert found["measured"] == {}


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("model=/srv/me/models/own.gguf", "model=<own.gguf>"),
        ("data_root=~/data", "data_root=<data>"),
        ("/srv/me/conf", "<conf>"),
        ("trainer.beta=0.3", "trainer.beta=0.3"),
        ("trainer.rewards={asks_question: 1}", "'trainer.rewards={asks_question: 1}'"),
        ("runs=[a,b]", "'runs=[a,b]'"),
        ("runs=[/srv/me/outputs/runs/a,b]", "'runs=[<a>,b]'"),
        ("evaluation.judge=http://localhost:8000/v1", "evaluation.judge=http://localhost:8000/v1"),
    ],
)
def test_a_command_names_no_place_of_this_machine(word: str, shown: str) -> None:
    assert shown_command([word]) == shown


def test_the_files_of_a_run_by_source(tmp_path: Path) -> None:
    own = tmp_path / "secret-place" / "own.jsonl"
    own.parent.mkdir()
    own.write_text("{}\n")
    data = tmp_path / "data"
    for name in ("mrbench/devset.json", "mrbench/v2.json", "bridge/train.json"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(name)
    words = ("trainer=dpo", f"data_root={data}", f"outputs_root={tmp_path}", "tracking=off")
    assert files_read(config_of(*words, "dataset=mrbench_bridge")) == {
        "mrbench": {name: sha256(name) for name in ("mrbench/devset.json", "mrbench/v2.json")},
        "bridge": {"bridge/train.json": sha256("bridge/train.json")},
    }
    assert files_read(config_of(*words, "dataset=local", f"dataset.path={own}")) == {
        "local": {"own.jsonl": sha256("{}\n")}
    }
    assert files_read(config_of(*words, "dataset=edu_tutor")) == {}


def test_many_files_have_one_digest(tmp_path: Path, real_data: Path) -> None:
    found = files_read(
        config_of("trainer=dpo", "dataset=semeval2013", f"data_root={real_data}", f"outputs_root={tmp_path}")
    )
    ((name, digest),) = found["semeval2013"].items()
    assert int(name.removesuffix(" files")) > MOST_FILES
    assert len(digest) == 32
