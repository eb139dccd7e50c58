"""Scored replies as rows: which pairs they give, and that a run reads every row as it was meant."""

import json
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.schema import DatasetConfig
from edu_align.data.dataset import load_records
from edu_align.iterating.dialogues import Dialogue
from edu_align.iterating.pairs import Reply, label_rows, learnable, ordered, pair_rows
from edu_align.iterating.plan import COLUMNS
from edu_align.records import Message, pairs_of
from edu_align.rewards.asked import Asked
from edu_align.utils.jsonl import as_lines

TURNS = (Message("system", "Be kind."), Message("user", "2 + 3?\n\nIs it 6?"))
DIALOGUE = Dialogue(Asked("one", TURNS, "Look again."), "g1", (1, 2))
# Replies as a weak model writes them: one that plays both speakers, the same one twice, an empty one.
REPLIES = [
    Reply("Human: hi\n\nAssistant: 5.", 0.0),
    Reply("Why 6?", 1.0),
    Reply("Why 6?", 1.0),
    Reply("", 3.0),
    Reply("No.", 0.4),
]


def read(rows: list[dict[str, Any]], file: Path, view: str, shape: str) -> list[Any]:
    file.write_text(as_lines(rows), encoding="utf-8")
    columns = {name: name for name in COLUMNS}
    dataset = DatasetConfig("local", ["local"], str(file), format=shape, columns=columns, margin=0.5)
    splits = load_records(dataset, None, file.parent, 0, view).splits
    assert splits["validation"] == splits["test"] == []
    return splits["train"]


@pytest.mark.parametrize(
    ("which", "margin", "expected"),
    [
        ("best_worst", 0.5, [(1, 0)]),
        ("best_worst", 1.5, []),
        ("all", 0.5, [(1, 0), (1, 2)]),
        ("all", 0.1, [(1, 0), (1, 2), (2, 0)]),
    ],
)
def test_pairs_are_at_least_the_margin_apart(which: str, margin: float, expected: list[tuple[int, int]]) -> None:
    assert ordered(learnable(REPLIES), which, margin) == expected


def test_a_dialogue_of_equal_replies_gives_no_row() -> None:
    assert list(pair_rows(DIALOGUE, [Reply("a", 1.0), Reply("a", 1.0), Reply("", 0.0)], "all", 0.1)) == []
    assert list(label_rows(DIALOGUE, [Reply("a", 1.0)], "best_worst", 0.1)) == []


@pytest.mark.parametrize("which", ["best_worst", "all"])
def test_a_run_reads_the_pairs_that_were_meant(which: str, tmp_path: Path) -> None:
    rows = list(pair_rows(DIALOGUE, REPLIES, which, 0.5))
    (group,) = read(rows, tmp_path / "pairs.jsonl", "preference", "responses")
    assert (group.group, group.prompt) == ("local:g1", TURNS)
    pairs = [(group.responses[p.chosen].text, group.responses[p.rejected].text) for p in pairs_of(group, 0.5)]
    kept = learnable(REPLIES)
    assert pairs == [(kept[better].text, kept[worse].text) for better, worse in ordered(kept, which, 0.5)]


def test_a_run_reads_the_labels_that_were_meant(tmp_path: Path) -> None:
    rows = list(label_rows(DIALOGUE, REPLIES, "all", 0.1))
    assert json.loads(json.dumps(rows)) == rows
    read_back = read(rows, tmp_path / "labels.jsonl", "labels", "labels")
    found = {group.responses[0].text: group.responses[0].score for group in read_back}
    assert found == {"Human: hi\n\nAssistant: 5.": 0.0, "Why 6?": 1.0}
