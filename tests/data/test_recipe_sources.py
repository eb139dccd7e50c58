"""The sources of the public recipes: rows become records, official tests stay tests, streaming stops early."""

import io
import json
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from edu_align.config.schema import PREFERENCE_SOURCES, DatasetConfig
from edu_align.data import hub
from edu_align.data.dataset import LoadedData, load_records
from edu_align.data.readers import Row, read_rows
from edu_align.data.sources import agentinstruct, puffin, stack_exchange, ultrachat, ultrafeedback
from edu_align.data.sources.load import SOURCES, TEST_RECORDS, _in_turn
from edu_align.models.chat_template import IGNORED
from edu_align.models.trained_turns import encode
from edu_align.records import Conversation, ResponseGroup
from edu_align.utils.errors import UserError
from tests.composing import config_of
from tests.data.test_dataset import every
from tests.data.test_split import crossing_groups

FOLDERS = {
    "agentinstruct": "zephyr_agentinstruct", "puffin": "mistral_puffin_t4", "stack_exchange": "llama2_stack",
    "ultrachat": "zephyr_beta", "ultrafeedback": "zephyr_beta",
}  # fmt: skip
EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
SAMPLES = {source: EXPERIMENTS / folder / "samples" for source, folder in FOLDERS.items()}
VIEWS = [(source, "conversation") for source in SAMPLES]
VIEWS += [(source, "preference") for source in SAMPLES if source in PREFERENCE_SOURCES]


def config(source: str, **keys: Any) -> DatasetConfig:
    """The data set's own YAML with some keys changed."""
    return replace(config_of(f"dataset={source}").dataset, **keys)


def load(source: str, view: str = "conversation", root: Path | None = None, **keys: Any) -> LoadedData:
    return load_records(config(source, **keys), root or SAMPLES[source], "unused", 0, view)


def row(source: str, part: str, number: int = 0, **changes: Any) -> Row:
    data = read_rows(SAMPLES[source] / source / f"{part}.jsonl")[number].data
    return Row(json.loads(json.dumps(data)) | changes, "some.jsonl", 7)


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(("source", "view"), VIEWS)
def test_the_samples_train_validate_and_test(source: str, view: str) -> None:
    data = load(source, view)
    report = data.sources[source]
    assert report.read >= 12
    assert report.read == report.kept + sum(report.dropped.values())
    assert all(data.splits.values()), data.describe()
    assert crossing_groups(data.splits) == set()
    kind = Conversation if view == "conversation" else ResponseGroup
    for record in every(data):
        assert isinstance(record, kind)
        turns = record.messages if isinstance(record, Conversation) else record.prompt
        assert [m.role for m in turns] == ["user", "assistant"] * (len(turns) // 2) + ["user"] * (len(turns) % 2)
        assert (turns[-1].role == "assistant") == isinstance(record, Conversation)
    sides = {name: {r.id.split(":")[1] for r in part} for name, part in data.splits.items()}
    own = {part.name for part in SOURCES[source].parts if part.test}
    assert bool(own) == (source in ("stack_exchange", "ultrachat", "ultrafeedback"))
    assert own <= sides["test"]
    assert not own & (sides["train"] | sides["validation"]), "the source's own test is never trained on"


def test_a_question_of_the_test_that_is_also_trained_on_is_not_measured(tmp_path: Path) -> None:
    rows = [r.data for r in read_rows(SAMPLES["stack_exchange"] / "stack_exchange/rl.jsonl")]
    write(tmp_path / "stack_exchange", "rl.jsonl", rows)
    other = rows[0] | {"response_k": "Something else.", "question": "The same question, edited."}
    write(tmp_path / "stack_exchange", "evaluation.jsonl", [other, rows[0] | {"qid": 9, "question": "Another?"}])
    data = load("stack_exchange", "preference", tmp_path)
    assert [r.group for r in data.splits["test"]] == ["question:9"]
    assert data.sources["stack_exchange"].dropped == {"held for test, but its question is in train": 1}


def test_agentinstruct_has_two_long_enough_trajectories_of_each_environment() -> None:
    records = every(load("agentinstruct"))
    environments = Counter(r.id.split(":")[1] for r in records)
    assert min(environments.values()) >= 2
    assert set(environments) == {part.name for part in SOURCES["agentinstruct"].parts}
    assert max(len(r.messages) for r in records) > 20
    steps = [agentinstruct.to_conversation(row("agentinstruct", "mind2web", i), str(i)) for i in range(3)]
    assert [steps[0].group == other.group for other in steps[1:]] == [True, False], "one web task, another one"


def test_loss_flags_decide_what_is_trained(bytes_tokenizer: Any) -> None:
    raw = row("agentinstruct", "os")
    record: Any = agentinstruct.to_conversation(raw, "id")
    turns = raw.data["conversations"]
    flags = [turn["loss"] is True for turn in turns]
    assert [m.train for m in record.messages] == flags
    assert True in flags
    assert [m.role for m, flag in zip(record.messages, flags, strict=True) if not flag].count("assistant") == 3
    unknown = [turn | {"loss": None} if turn["loss"] is False else turn for turn in turns]
    assert agentinstruct.to_conversation(row("agentinstruct", "os", conversations=unknown), "id") == record
    silent = [turn | {"loss": None} for turn in turns]
    found = agentinstruct.to_conversation(row("agentinstruct", "os", conversations=silent), "id")
    assert found == "no turn to train on"

    raw = row("agentinstruct", "kg")
    record = agentinstruct.to_conversation(raw, "id")
    ids, labels = encode(bytes_tokenizer, record.messages)
    spoken = bytes_tokenizer.decode([i for i, label in zip(ids, labels, strict=True) if label != IGNORED])
    expected = [turn["value"] for turn in raw.data["conversations"] if turn["loss"]]
    assert spoken == "".join(text + bytes_tokenizer.eos_token for text in expected)


def test_puffin_ultrachat_and_ultrafeedback() -> None:
    record = puffin.to_conversation(row("puffin", "train", 1), "id")
    assert [m.train for m in record.messages] == [False, True] * 3
    assert "\n    letters = word.casefold()\n    return" in record.messages[1].content, "code is kept as it is"
    talk = ultrachat.to_conversation(row("ultrachat", "test_sft", 2), "id")
    assert [m.train for m in talk.messages] == [False, True] * 2
    assert talk.meta == {}
    group = ultrafeedback.to_group(row("ultrafeedback", "train_prefs"), "id")
    assert [r.score for r in group.responses] == [9.0, 3.0]
    assert [m.role for m in group.prompt] == ["user"]


def test_stack_exchange_prefers_j() -> None:
    raw = row("stack_exchange", "rl")
    talk, group = stack_exchange.to_conversation(raw, "id"), stack_exchange.to_group(raw, "id")
    question, good, bad = (raw.data[name] for name in ("question", "response_j", "response_k"))
    assert [(m.content, m.train) for m in talk.messages] == [(question, False), (good, True)]
    assert [(r.text, r.score) for r in group.responses] == [(good, 1.0), (bad, 0.0)]
    assert (talk.group, group.group) == (f"question:{raw.data['qid']}",) * 2
    assert (talk.meta, group.meta) == ({}, {})


Q, A = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


def of_turns(*turns: dict[str, str]) -> Any:
    return ultrachat.to_conversation(row("ultrachat", "train_sft", messages=list(turns)), "id")


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([], "no reply"), ([Q], "no reply"), ([A, Q, A], "does not start with the user"),
        ([Q, A, A], "two replies in a row"), ([Q, {"role": "assistant", "content": "  "}], "empty turn"),
        ([Q, {"role": "system", "content": "s"}, A], "a system turn inside the dialogue"),
    ],
)  # fmt: skip
def test_dialogues_that_are_none(turns: list[dict[str, str]], reason: str) -> None:
    assert of_turns(*turns) == reason


def test_dialogues_are_made_to_alternate() -> None:
    record = of_turns({"role": "system", "content": ""}, Q, Q | {"content": "more"}, A, Q)
    assert [(m.role, m.content) for m in record.messages] == [("user", "q\n\nmore"), ("assistant", "a")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"score_rejected": 9.0}, "equal scores"), ({"score_rejected": 10}, "the chosen reply has the lower score"),
        ({"rejected": [Q, A]}, "chosen and rejected continue different dialogues"),
        ({"chosen": [Q, A], "rejected": [Q, A]}, "identical replies"),
    ],
)  # fmt: skip
def test_rows_without_a_preference_are_counted(changes: dict[str, Any], reason: str) -> None:
    assert ultrafeedback.to_group(row("ultrafeedback", "train_prefs", **changes), "id") == reason


@pytest.mark.parametrize(
    ("source", "part", "changes", "message"),
    [
        ("puffin", "train", "text", "`conversations` must be a list, got text"),
        ("puffin", "train", [{"from": "tool", "value": "v"}], "a turn of a tool .role 'tool'."),
        ("puffin", "train", [{"from": "gpt"}], "a turn without text"),
        ("agentinstruct", "os", [{"from": "gpt", "value": "v"}], "no column `loss`"),
        ("agentinstruct", "os", [{"from": "gpt", "value": "v", "loss": "yes"}], "`loss` must be true, false or null"),
        ("agentinstruct", "os", [{"from": "human", "value": "v", "loss": True}], "true on gpt turns only"),
        ("stack_exchange", "rl", {"qid": None}, "`qid` is null"),
        ("stack_exchange", "rl", {"response_j": 3}, "`response_j` must be text, got a number 3"),
        ("ultrafeedback", "train_prefs", {"score_chosen": "9"}, "`score_chosen` must be a finite number, got '9'"),
        ("ultrafeedback", "train_prefs", {"chosen": None}, "`chosen` is null"),
    ],
)
def test_a_malformed_row_is_one_error_with_the_row(
    source: str, part: str, changes: Any, message: str, tmp_path: Path
) -> None:
    """Anything but an object of changes takes the place of the turns."""
    good = row(source, part).data
    changes = changes if isinstance(changes, dict) else {"conversations": changes}
    write(tmp_path / source, f"{part}.jsonl", [good, good | changes])
    with pytest.raises(UserError, match=rf"(?s){part}\.jsonl, row 2.*{message}.*[Rr]ow: \{{"):
        load(source, "preference" if source in PREFERENCE_SOURCES else "conversation", root=tmp_path)


def many(number: int) -> list[dict[str, Any]]:
    asked = [{"from": "human", "value": f"question {i}?"} for i in range(number)]
    return [{"id": str(i), "conversations": [turn, {"from": "gpt", "value": "a"}]} for i, turn in enumerate(asked)]


STREAM = {"streaming": True, "max_train_records": 20, "max_eval_records": 2}


def test_streaming_reads_no_further_than_it_needs(tmp_path: Path) -> None:
    """The row behind the needed ones is broken, so reading it would be counted."""
    whole = write(tmp_path / "all/puffin", "train.jsonl", many(400))
    read = load("puffin", root=tmp_path / "all", **STREAM).sources["puffin"].read
    assert 20 < read < 100
    lines = whole.read_text(encoding="utf-8").split("\n")[:read]
    write(tmp_path / "short/puffin", "train.jsonl", []).write_text("\n".join([*lines, "{broken"]), encoding="utf-8")
    data = load("puffin", root=tmp_path / "short", **STREAM)
    assert len(data.splits["train"]) >= 20
    assert min(len(data.splits["validation"]), len(data.splits["test"])) >= 2
    assert f"reading stopped after {read}, that is enough" in data.describe()
    assert not data.sources["puffin"].dropped
    whole_file = load("puffin", root=tmp_path / "short", **STREAM | {"streaming": False})
    assert whole_file.sources["puffin"].dropped == {"broken JSON": 1}


def test_streaming_reads_parquet_and_copies_of_a_repository_alike(tmp_path: Path) -> None:
    write(tmp_path / "lines/puffin", "train.jsonl", many(400))
    shards = tmp_path / "shards/puffin/data"
    shards.mkdir(parents=True)
    for i, part in enumerate((many(400)[:10], many(400)[10:])):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(part), shards / f"train-0000{i}-of-00002-ab.parquet")
    one, two = (load("puffin", root=tmp_path / name, **STREAM) for name in ("lines", "shards"))
    assert one.fingerprint == two.fingerprint
    assert len(two.sources["puffin"].files) == 2


def test_streaming_counts_each_record_once(tmp_path: Path) -> None:
    write(tmp_path / "puffin", "train.jsonl", [r for r in many(400) for _ in range(5)])
    assert len(load("puffin", root=tmp_path, **STREAM).splits["train"]) >= 20
    with pytest.raises(UserError, match=r"`dataset\.streaming=true` needs `dataset\.max_train_records`, got null"):
        load("puffin", streaming=True)


def test_streaming_takes_from_every_environment() -> None:
    data = load("agentinstruct", streaming=True, max_train_records=6, max_eval_records=1)
    assert len({r.id.split(":")[1] for r in every(data)}) == 6
    assert data.sources["agentinstruct"].read < 20
    assert list(_in_turn(["ab", "", "cdef"])) == list("acbdef")


def test_streaming_bounds_the_sources_own_test(tmp_path: Path) -> None:
    pairs = [{"question": f"Question {i}?", "qid": i, "response_j": "j", "response_k": "k"} for i in range(3000)]
    write(tmp_path / "stack_exchange", "rl.jsonl", pairs)
    write(tmp_path / "stack_exchange", "evaluation.jsonl", [p | {"qid": p["qid"] + 9000} for p in pairs])
    data = load("stack_exchange", "preference", tmp_path, max_train_records=50, max_eval_records=2)
    sides = Counter(r.id.split(":")[1] for r in data.splits["test"])
    assert 0 < sides["evaluation"] <= TEST_RECORDS
    assert data.sources["stack_exchange"].read < 1500 + TEST_RECORDS


def test_streaming_of_a_local_file(tmp_path: Path) -> None:
    path = write(tmp_path, "mine.jsonl", many(400))
    path.write_text(path.read_text(encoding="utf-8") + "{broken\n", encoding="utf-8")
    cfg = DatasetConfig(name="local", sources=["local"], path=str(path), **STREAM)
    data = load_records(cfg, None, tmp_path, 0, "conversation")
    assert data.sources["local"].read < 100
    assert "format sharegpt, by its columns; streamed" in data.describe()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the shape of Puffin's repository takes the hub's place; `datasets` reads it as it reads the hub."""
    monkeypatch.delenv(hub.DATA_ROOT_VARIABLE, raising=False)
    folder = tmp_path / "repository"
    write(folder, "train.jsonl", many(400))
    monkeypatch.setitem(SOURCES, "puffin", replace(SOURCES["puffin"], repository=str(folder)))
    monkeypatch.setattr(urllib.request, "urlopen", lambda *args, **kwargs: io.BytesIO(b"{}"))
    return folder


@pytest.mark.parametrize("streaming", [True, False])
def test_rows_of_the_hub_come_through_datasets(repository: Path, tmp_path: Path, streaming: bool) -> None:
    data = load_records(config("puffin", **STREAM | {"streaming": streaming}), None, tmp_path, 0, "conversation")
    assert (data.sources["puffin"].read < 100) == streaming
    write(tmp_path / "root/puffin", "train.jsonl", many(400))
    local = load("puffin", root=tmp_path / "root", **STREAM | {"streaming": streaming})
    assert data.fingerprint == local.fingerprint
    (repository / "train.jsonl").write_text("{broken", encoding="utf-8")
    with pytest.raises(UserError, match=r"reading from the hub broke off after 0 rows .*`data_root`"):
        load_records(config("puffin"), None, tmp_path / "again", 0, "conversation")


def test_no_hub_names_both_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, timeout: float) -> Any:
        assert timeout <= 15
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.delenv(hub.DATA_ROOT_VARIABLE, raising=False)
    expected = r"'stack_exchange'.*no route.*data_root.*EDU_ALIGN_DATA.*stack_exchange/rl\.jsonl"
    with pytest.raises(UserError, match=expected):
        load_records(config("stack_exchange"), tmp_path, tmp_path, 0, "preference")
