"""A dataset config becomes records in splits with a report."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.schema import DatasetConfig
from edu_align.data.dataset import LoadedData, fingerprint_of, load_records
from edu_align.utils.errors import UserError
from tests.data.test_split import crossing_groups

FIXTURES = Path(__file__).parent / "fixtures"
ALL = ["mathdial", "bridge", "mrbench", "gsm8k_socratic"]


def load(tmp_path: Path, sources: list[str], view: str, root: Path = FIXTURES, **keys: Any) -> LoadedData:
    return load_records(DatasetConfig(name="mix", sources=sources, **keys), root, tmp_path, 0, view)


def every(data: LoadedData) -> list[Any]:
    return [record for part in data.splits.values() for record in part]


def test_counts_and_reasons(tmp_path: Path) -> None:
    data = load(tmp_path, ["mrbench", "bridge"], "preference")
    mrbench = data.sources["mrbench"]
    assert (mrbench.read, mrbench.kept) == (13, 8)
    reasons = "fewer than two replies", "history does not end with the student"
    reasons += "neither a maths problem nor a Bridge session", "in the development set already"
    assert mrbench.dropped == dict(zip(reasons, (1, 1, 1, 2), strict=True))
    for source in data.sources.values():
        assert source.read == source.kept + sum(source.dropped.values())
    assert sum(map(len, data.splits.values())) == 12
    assert json.loads(json.dumps(data.report))["records"] == {n: len(r) for n, r in data.splits.items()}
    text = data.describe()
    assert "mrbench: 8 of 13 rows kept" in text
    assert "left out 2: in the development set already" in text


def test_no_group_crosses_over_sources_and_a_record_keeps_its_side(tmp_path: Path) -> None:
    data = load(tmp_path, ALL, "conversation")
    assert crossing_groups(data.splits) == set()
    sources = [{s.source for s in every(data) if s.group == r.group} for r in every(data)]
    assert {"mathdial", "mrbench", "gsm8k_socratic"} in sources
    assert {"bridge", "mrbench"} in sources
    where = {(r.id, name) for name, part in data.splits.items() for r in part}
    for source in ("mathdial", "bridge", "mrbench"):
        alone = load(tmp_path, [source], "conversation")
        assert {(r.id, name) for name, part in alone.splits.items() for r in part} <= where, "beside it or not"


def test_official_test_rows_only_test(tmp_path: Path) -> None:
    data = load(tmp_path, ["gsm8k_socratic"], "conversation")
    rows = {name: [r.id for r in part if ":test_" in r.id] for name, part in data.splits.items()}
    assert (rows["train"], rows["validation"]) == ([], [])
    assert len(rows["test"]) >= 8


def test_views(tmp_path: Path) -> None:
    data = load(tmp_path, ["mrbench"], "conversation")
    first = next(r for r in every(data) if r.id == "mrbench:devset:1")
    assert first.messages[-1].content == "And how many do 3 bags hold?"
    assert [m.train for m in first.messages] == [False, False, False, True]


def test_fingerprint_follows_the_content(tmp_path: Path) -> None:
    one, two = load(tmp_path, ["bridge"], "preference"), load(tmp_path, ["bridge"], "preference")
    assert one.fingerprint == two.fingerprint != load(tmp_path, ["bridge"], "conversation").fingerprint
    record = every(one)[0]
    assert fingerprint_of([record]) != fingerprint_of([replace(record, id="other")])


CONTRAST = {"contrast_sources": ["mathdial", "gsm8k_socratic"]}


@pytest.mark.parametrize(
    ("sources", "view", "keys", "known"),
    [
        (["edu_tutor"], "preference", {"size": 40}, "08fe454f28bdc538373df647"),
        (["edu_tutor"], "conversation", {"size": 40}, "ee5fcf5f9e7af43089999cd9"),
        (["mathdial", "bridge", "gsm8k_socratic", "mrbench"], "conversation", {}, "4f4604fca3b1a68ffa808a1f"),
        (["bridge", "mrbench"], "preference", CONTRAST, "a2070dd4f4907ad9896ee761"),
    ],
)
def test_fingerprints_stay(sources: list[str], view: str, keys: dict[str, Any], known: str, tmp_path: Path) -> None:
    """Run ids hold them: another value would train every finished run again."""
    dataset = DatasetConfig(name="mix", sources=sources, **keys)
    assert load_records(dataset, FIXTURES, tmp_path, 42, view).fingerprint.startswith(known)


def test_system_prompt(tmp_path: Path) -> None:
    data = load(tmp_path, ["mathdial"], "conversation", system_prompt="You are a tutor.")
    assert {r.messages[0].content for r in data.require("train")} == {"You are a tutor."}
    assert data.fingerprint == load(tmp_path, ["mathdial"], "conversation").fingerprint


def test_edu_tutor_keeps_its_own_split(tmp_path: Path) -> None:
    data = load(tmp_path, ["edu_tutor"], "preference", size=60)
    for name, part in data.splits.items():
        assert part
        assert {r.meta["split"] for r in part} == {name}
    assert crossing_groups(data.splits) == set()
    assert load(tmp_path, ["edu_tutor"], "conversation", size=60).require("train")


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"`dataset`=mix: mathdial has conversations only.*edu_tutor, bridge, mrbench"):
        load(tmp_path, ["mathdial", "bridge"], "preference")
    with pytest.raises(UserError, match=r"`dataset\.sources` is empty"):
        load(tmp_path, [], "conversation")
    with pytest.raises(UserError, match="names a source twice: bridge, bridge"):
        load(tmp_path, ["bridge", "bridge"], "conversation")
    (tmp_path / "mathdial").mkdir()
    (tmp_path / "mathdial/test.jsonl").write_text('{"question": "q", "conversations": "x"}\n')
    with pytest.raises(UserError, match=r"test\.jsonl, row 1: no column `student_incorrect_solution`.*The row: "):
        load(tmp_path, ["mathdial"], "conversation", root=tmp_path)


def test_nothing_left_and_an_empty_split_show_the_counts(tmp_path: Path) -> None:
    (tmp_path / "bridge").mkdir()
    rows = json.loads((FIXTURES / "bridge/train.json").read_text())[4:6]
    (tmp_path / "bridge/train.json").write_text(json.dumps(rows))
    with pytest.raises(UserError, match=r"(?s)no record is left.*left out 1: the session ends"):
        load(tmp_path, ["bridge"], "preference", root=tmp_path)
    data = load(tmp_path, ["bridge"], "preference", test_fraction=0.99, validation_fraction=0.0)
    with pytest.raises(UserError, match=r"(?s)the train split holds no record.*bridge: 4 of 10 rows kept"):
        data.require("train")
