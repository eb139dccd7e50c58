"""Single replies with labels: how a row says them, what a threshold makes of scores, and their order in training."""

import json
from pathlib import Path
from typing import Any

import pytest

from edu_align.chatting.arena import Answer, vote_row
from edu_align.config.schema import DatasetConfig, GenerationConfig
from edu_align.data.datamodule import TrainingData, training_data
from edu_align.data.labels import as_steps, joined, labelled, spread, weights_note
from edu_align.data.readers import Row
from edu_align.data.rows.columns import Columns
from edu_align.data.rows.labels import LABEL
from edu_align.data.rows.reader import RowReader
from edu_align.records import LabelledReply, Message, Response, ResponseGroup
from edu_align.utils.errors import UserError

ASK, TELL = {"role": "user", "content": "2 + 3?"}, {"role": "assistant", "content": "What is 2 + 2?"}
WHAT = "What is 2 + 2?"
ROW = {"prompt": "2 + 3?", "reply": WHAT}


def read(data: dict[str, Any], view: str = "labels", wanted: str = "labels") -> Any:
    return RowReader(Columns({}), view, wanted).read(Row(data, "mine.jsonl", 5))


def group(*replies: Response, asked: str = "2 + 3?", source: str = "local", **meta: str) -> ResponseGroup:
    return ResponseGroup((Message("user", asked),), replies, asked, source, asked, meta)


def scored(*scores: float, asked: str = "2 + 3?", source: str = "local") -> ResponseGroup:
    return group(*(Response(f"{asked} {i}", score) for i, score in enumerate(scores)), asked=asked, source=source)


GOOD = [True, "true", "Yes", "up", 1, 1.0, "1", "+1", "thumbs-up", "\N{THUMBS UP SIGN}", "desirable", "Good "]
BAD = [False, "false", "no", "down", 0, 0.0, "0", -1, "-1", "thumbs_down", "\N{THUMBS DOWN SIGN}", "undesirable", "bad"]


@pytest.mark.parametrize(("label", "good"), [*((label, 1.0) for label in GOOD), *((label, 0.0) for label in BAD)])
@pytest.mark.parametrize("wanted", ["labels", "auto"])
def test_spellings_of_a_label(label: Any, good: float, wanted: str) -> None:
    (reply,) = read(ROW | {"label": label}, wanted=wanted).responses
    assert (reply.text, reply.score, reply.scores) == ("What is 2 + 2?", good, {LABEL: good})


SHAPES: list[dict[str, Any]] = [
    {"messages": [ASK, TELL], "label": "yes"},
    {"conversations": [{"from": "human", "value": "2 + 3?"}, {"from": "gpt", "value": WHAT}], "kto_tag": True},
    {"prompt": [ASK], "completion": [TELL], "label": True},
    {"question": "2 + 3?", "response": "What is 2 + 2?", "Thumbs": "up", "comment": "kind"},
]  # fmt: skip


@pytest.mark.parametrize("data", SHAPES)
def test_shapes_of_a_labelled_reply(data: dict[str, Any]) -> None:
    found = read(data, wanted="auto")
    assert [turn.content for turn in found.prompt] == ["2 + 3?"]
    assert [(reply.text, reply.scores) for reply in found.responses] == [("What is 2 + 2?", {LABEL: 1.0})]


def test_a_score_is_no_label_yet() -> None:
    (reply,) = read(ROW | {"score": "3.5"}).responses
    assert (reply.score, reply.scores) == (3.5, {})
    (other,) = read(ROW | {"score": 4, "label": None}).responses
    assert (other.score, other.scores) == (4.0, {}), "null is absent"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (ROW, "no label and no score"),
        (ROW | {"label": "maybe"}, "a label that is neither good nor bad"),
        (ROW | {"label": 3}, "a label that is neither good nor bad"),
        (ROW | {"label": [True]}, "a label that is neither good nor bad"),
        (ROW | {"score": "high"}, "a score that is no number"),
        (ROW | {"score": True}, "a score that is no number"),
        (ROW | {"score": float("nan")}, "no label and no score"),
        ({"prompt": "2 + 3?", "reply": " ", "label": True}, "empty reply"),
        ({"prompt": "2 + 3?", "label": True}, "no column `reply`"),
        ({"reply": "5", "label": True}, "no prompt"),
        ({"messages": [ASK], "label": True}, "a reply is not the assistant's"),
        ({"prompt": [ASK, TELL], "reply": "5", "label": True}, "prompt does not end with a user turn"),
    ],
)
def test_rows_that_are_left_out(data: dict[str, Any], reason: str) -> None:
    assert read(data).reason == reason


def test_sft_learns_what_is_labelled_good() -> None:
    talk = read(ROW | {"label": "up"}, "conversation")
    assert [(turn.content, turn.train) for turn in talk.messages] == [("2 + 3?", False), ("What is 2 + 2?", True)]
    for row in (ROW | {"label": "down"}, ROW | {"score": 5}):
        assert read(row, "conversation").reason == "no reply that is labelled good"


class Writer:
    """As much of a chat's model as a vote keeps."""

    def __init__(self, label: str) -> None:
        self.label, self.base, self.settings = label, "base", GenerationConfig()


@pytest.mark.parametrize(
    ("vote", "labels"), [("left", [1, 0]), ("right", [0, 1]), ("both_bad", [0, 0]), ("good", [1]), ("bad", [0])]
)
@pytest.mark.parametrize("wanted", ["labels", "auto"])
def test_votes_of_the_chat_are_thumbs(vote: str, labels: list[int], wanted: str) -> None:
    answers: Any = [Answer(Writer("a"), "What is 2 + 2?"), Answer(Writer("b"), "5")]  # type: ignore[arg-type]
    row = json.loads(json.dumps(_vote(vote, answers[: len(labels)])))
    found = read(row, wanted=wanted)
    assert [reply.scores[LABEL] for reply in found.responses] == labels
    assert [reply.author for reply in found.responses] == ["a", "b"][: len(labels)]


def _vote(vote: str, answers: Any) -> dict[str, Any]:
    return vote_row(vote, (Message("user", "2 + 3?"),), answers)


def test_a_tie_labels_neither() -> None:
    answers: Any = [Answer(Writer("a"), "Why?"), Answer(Writer("b"), "5")]  # type: ignore[arg-type]
    assert read(_vote("tie", answers)).reason == "a tie, which labels neither answer"


# Thresholds.


def good(groups: list[ResponseGroup], **keys: Any) -> list[bool]:
    return [reply.good for reply in labelled(groups, DatasetConfig(name="it", sources=[], **keys)).replies]


def test_a_source_has_its_threshold_and_the_key_is_before_it() -> None:
    mrbench, bridge = scored(8, 7, 6, 0, source="mrbench"), scored(6, 2, source="bridge")
    assert good([mrbench, bridge]) == [True, True, False, False, True, False]
    assert good([mrbench], threshold=6) == [True, True, True, False]


def test_what_has_a_label_needs_no_threshold_and_heeds_none() -> None:
    thumbs = group(Response("a", 1.0, {LABEL: 1.0}), Response("b", 0.0, {LABEL: 0.0}), Response("c", 4.0))
    chosen = scored(1.0, 0.0, asked="3 + 4?")
    assert good([thumbs, chosen], threshold=4) == [True, False, True, True, False]


def test_scores_of_ones_own_need_a_threshold() -> None:
    groups = [scored(1, 2, 3), scored(3, 4, 5, asked="3 + 4?")]
    with pytest.raises(UserError, match=r"local is good: 6 .* from 1 to 5 .* Set dataset\.threshold=3, which"):
        good(groups)
    assert good(groups, threshold=3) == [False, False, True, True, True, True]


def test_a_dimension_stands_in_the_place_of_the_sum() -> None:
    replies = (Response("a", 0.0, {"tone": 2.0}), Response("b", 8.0, {"tone": 1.0}), Response("c", 8.0))
    mine = group(*replies, source="mrbench")
    keys = DatasetConfig(name="it", sources=[], dimension="tone")
    found = labelled([mine], keys)
    assert [(reply.text, reply.good) for reply in found.replies] == [("a", True), ("b", False)]
    assert found.left_out == {"have no score of tone": 1}
    assert good([mine], dimension="tone", threshold=1) == [True, True]
    with pytest.raises(UserError, match=r"`dataset\.dimension=tune` is a score of no reply here\. .* tone"):
        good([mine], dimension="tune")


def test_a_good_reply_that_nobody_should_learn_is_left_out() -> None:
    replies = (
        Response("a", 9.0, author="telling"),
        Response("b", 1.0, author="telling"),
        Response("c", 9.0, author="x"),
    )
    mine = group(*replies, source="mrbench", unfit_to_learn="telling")
    assert good([mine]) == [False, True]
    assert good([mine], drop_unfit_chosen=False) == [True, False, True]


def test_replies_to_one_prompt_are_neighbours_with_their_own_labels() -> None:
    """Two pairs of one prompt are no scores from 0 to 1."""
    groups = [scored(1.0, 0.0), scored(1.0, 0.0, asked="3 + 4?"), scored(0.0, 1.0)]
    one, other = joined(groups)
    assert (len(one.responses), len(other.responses)) == (4, 2)
    assert good([one, other]) == [True, False, False, True, True, False]


# Order.


def replies(labels: list[bool], of_a_prompt: int = 1) -> list[LabelledReply]:
    groups = [scored(*[1.0] * of_a_prompt, asked=f"{i}?") for i in range(len(labels) // of_a_prompt)]
    return [LabelledReply(groups[i // of_a_prompt], i % of_a_prompt, label) for i, label in enumerate(labels)]


@pytest.mark.parametrize("batching", ["prompts", "replies"])
def test_steps_mix_both_kinds_wherever_the_file_has_them(batching: str) -> None:
    """TRL's own order for pairs is all chosen rows, then all rejected ones."""
    every = replies([True] * 48 + [False] * 16)
    found = as_steps(every, batching, seed=1)
    steps = [sum(reply.good for reply in found[i : i + 8]) for i in range(0, 64, 8)]
    assert steps == [6] * 8
    assert sorted(map(id, found)) == sorted(map(id, every))


def test_prompts_stay_whole_and_the_seed_decides() -> None:
    every = replies([True, True, False, False, False, True] * 8, of_a_prompt=3)
    found = as_steps(every, "prompts", seed=1)
    assert all(len({reply.group.id for reply in found[i : i + 3]}) == 1 for i in range(0, 48, 3))
    one, again, other = (as_steps(every, "replies", seed=seed) for seed in (1, 1, 2))
    assert one == again != other


def test_one_kind_alone_keeps_its_order() -> None:
    every = [[reply] for reply in replies([True] * 5)]
    assert spread(every) == every
    assert spread([]) == []


@pytest.mark.parametrize(
    ("good_ones", "bad", "said"), [(100, 100, ""), (120, 100, ""), (100, 400, "desirable_weight=4")]
)
def test_weights_that_the_paper_asks_for(good_ones: int, bad: int, said: str) -> None:
    note = weights_note(good_ones, bad, 1.0, 1.0)
    assert said in note
    assert bool(note) is bool(said)
    assert weights_note(100, 400, 4.0, 1.0) == ""
    assert "trainer.undesirable_weight=4 " in weights_note(400, 100, 1.0, 1.0)


# A run's data.


def data_of(typed: Any, tmp_path: Path, rows: list[dict[str, Any]], *words: str) -> TrainingData:
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    words = ("trainer=kto", "dataset=local", f"dataset.path={path}", "trainer.batch_size=4", *words)
    return training_data(typed(*words), set())


def thumbs(many: int) -> list[dict[str, Any]]:
    return [{"prompt": f"{i} + 3?", "reply": f"Try {i}.", "label": i % 3 == 0} for i in range(many)]


def test_a_file_of_labels(typed: Any, tmp_path: Path) -> None:
    rows = [*thumbs(60), {"prompt": "x", "reply": "y", "label": "?"}]
    data = data_of(typed, tmp_path, rows, "dataset.format=labels")
    assert data.loaded.sources["local"].dropped == {"a label that is neither good nor bad": 1}
    good_ones = sum(reply.good for reply in data.train)
    assert 0 < good_ones < len(data.train)
    assert data.facts()["labels"] == {"good": good_ones, "bad": len(data.train) - good_ones}
    assert any(note.startswith(f"labels: {good_ones} good") for note in data.notes)
    assert data.groups == []
    assert data.conversations, "no prompt has two replies: what is measured are the good ones"
    assert all(int(talk.messages[0].content.split()[0]) % 3 == 0 for talk in data.conversations)


def test_two_replies_to_a_prompt_are_measured_as_a_pair(typed: Any, tmp_path: Path) -> None:
    rows = [row | {"reply": f"{row['reply']} {end}", "label": end} for row in thumbs(60) for end in (True, False)]
    data = data_of(typed, tmp_path, rows)
    assert data.conversations == []
    assert data.groups
    assert {len(each.responses) for each in data.groups} == {2}


def test_both_kinds_are_needed(typed: Any, tmp_path: Path) -> None:
    rows = [row | {"label": True} for row in thumbs(30)]
    with pytest.raises(UserError, match=r"`trainer=kto` needs good and bad replies to train on, and \d+ are all good"):
        data_of(typed, tmp_path, rows)


def test_the_built_in_corpus_gives_labels(typed: Any) -> None:
    data = training_data(typed("trainer=kto", "dataset.size=100", "trainer.batch_size=16"), set())
    steps = [data.train[i : i + 16] for i in range(0, len(data.train) - 16, 16)]
    assert all(0 < sum(reply.good for reply in step) < 16 for step in steps)
    assert data.prompts_per_step() < 8, "replies to one prompt stand together"
    assert data.groups, "measured as pairs are"
    assert {reply.group.responses[reply.index].author for reply in data.train if reply.good} <= {"guiding", "hinting"}


def test_mrbench_gives_labels_by_its_threshold(typed: Any, real_data: Path) -> None:
    words = ("trainer=kto", "dataset=mrbench", f"data_root={real_data}")
    data = training_data(typed(*words), set())
    assert {reply.good for reply in data.train} == {True, False}
    assert all(reply.good is (reply.group.responses[reply.index].score >= 7) for reply in data.train)
    one = training_data(typed(*words, "dataset.dimension=mistake_location"), set())
    assert all(reply.good is (_score(reply, "mistake_location") == 2.0) for reply in one.train)
    assert len(one.train) == len(data.train)


def _score(reply: LabelledReply, name: str) -> float:
    return reply.group.responses[reply.index].scores[name]
