"""One question on one side over all sources at once, and nothing measured that a run has trained on."""

from pathlib import Path
from typing import Any

import pytest

from edu_align.data.questions import problem_key
from edu_align.data.split import PINNED, keys_of
from edu_align.evaluation.suite.data import PARTS, Settings, SourceAbsentError, SuiteData, read_sources
from edu_align.records import Conversation
from edu_align.utils.errors import UserError
from tests.evaluation.suite.real import ROOT, needs_data


@pytest.fixture(scope="module")
def dataset(typed: Any) -> Any:
    return typed("trainer=sft").dataset


def suite_data(dataset: Any, tmp: Path, split: str = "test", root: Path = ROOT, **more: Any) -> SuiteData:
    return SuiteData(dataset, root, tmp, Settings(split=split, max_groups=more.pop("max_groups", None)), **more)


def keys(record: Any) -> set[str]:
    """Every key of a record, its problem's among them, whatever group it was given."""
    problem = record.meta.get("problem")
    return {*keys_of(record), *([problem_key(problem)] if problem else [])}


@pytest.fixture(scope="module")
def splits(dataset: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, SuiteData]:
    tmp = tmp_path_factory.mktemp("suite")
    return {split: suite_data(dataset, tmp, split) for split in ("validation", "test")}


@needs_data
def test_no_question_crosses_sides_over_all_sources(splits: dict[str, SuiteData]) -> None:
    def side(split: str, *parts: str) -> set[str]:
        return {key for part in parts for record in getattr(splits[split], part) for key in keys(record)}

    train = side("test", "mrbench_training", "bridge_training", "mathdial_training")
    validation, test = (side(split, "mrbench", "bridge", "mathdial", "gsm8k") for split in ("validation", "test"))
    assert min(len(train), len(validation), len(test)) > 50
    for one, other in ((train, test), (train, validation), (validation, test)):
        assert not one & other


@needs_data
def test_retention_takes_the_official_test_problems_that_nobody_trains_on(splits: dict[str, SuiteData]) -> None:
    chosen = [record for data in splits.values() for record in data.gsm8k]
    assert all(record.meta[PINNED] == "test" and record.meta["gold_answer"] for record in chosen)
    assert 1200 < len(chosen) < 1319
    assert len({record.id for record in chosen}) == len(chosen)


@needs_data
def test_what_a_run_trained_on_is_not_measured(dataset: Any, tmp_path: Path) -> None:
    whole = suite_data(dataset, tmp_path)
    one = whole.mrbench[0]
    rest = suite_data(dataset, tmp_path, seen=frozenset({one.group}))
    assert rest.mrbench == [group for group in whole.mrbench if group.group != one.group]
    assert rest.left_out == len(whole.mrbench) - len(rest.mrbench) > 0
    assert all(record.group != one.group for record in rest.mathdial)


@needs_data
def test_a_part_is_the_same_for_every_reader(dataset: Any, tmp_path: Path, splits: dict[str, SuiteData]) -> None:
    again = suite_data(dataset, tmp_path)
    assert again.mrbench == splits["test"].mrbench
    assert again.fingerprint("bridge") == splits["test"].fingerprint("bridge")
    assert again.fingerprint("bridge") != again.fingerprint("bridge_training")
    few = suite_data(dataset, tmp_path, max_groups=3)
    assert few.mrbench == again.mrbench[:3]
    assert len(few.bridge) == 3


def test_absent_sources_are_named_and_the_own_data_set_is_there(dataset: Any, tmp_path: Path, monkeypatch: Any) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    data = suite_data(dataset, tmp_path, root=tmp_path / "nowhere")
    with pytest.raises(SourceAbsentError, match=r"mrbench.*data_root"):
        _ = data.mrbench
    assert set(data.absent) == {"mrbench", "bridge", "mathdial", "gsm8k_socratic"}
    assert data.fingerprint("mathdial") == "absent"
    assert {group.source for group in data.own} == {"edu_tutor"}
    assert not {g.group for g in data.own} & {g.group for g in data.own_training}
    assert all(isinstance(conversation, Conversation) for conversation in data.own_conversations)
    assert set(PARTS) <= set(dir(SuiteData))


def test_a_broken_file_is_an_error_and_not_absent(dataset: Any, tmp_path: Path) -> None:
    (tmp_path / "mathdial").mkdir()
    (tmp_path / "mathdial" / "test.jsonl").write_text("{broken\n")
    for source in ("mrbench", "bridge", "gsm8k"):
        (tmp_path / source).mkdir()
    with pytest.raises(UserError, match=r"test\.jsonl: broken JSON"):
        read_sources(dataset, tmp_path, tmp_path, frozenset())
