"""A stored result is the result, whole or not there, under everything that it depends on."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edu_align.evaluation.suite.data import Settings, SuiteData
from edu_align.evaluation.suite.results import MetricResult, Series
from edu_align.evaluation.suite.store import Store, read_result
from edu_align.evaluation.suite.subject import LoadedSubject, Weights
from edu_align.records import Message
from edu_align.utils.errors import UserError
from tests.answers import score_replies
from tests.evaluation.builders import group

MEASURED = {"a/x": Series.of([("i", "g", 0.1, 2.0), ("j", "h", 1 / 3, 1.0)]), "a/y": Series.of([])}
CHANCE = Series.of([("i", "g", 0.5, 2.0), ("j", "h", 0.5, 1.0)])
RESULT = MetricResult(
    "human_turn_nll", "what it is", MEASURED, {"a/x": {"chance": CHANCE}}, {"a/x": "share"}, {"a/x": "higher"},
    ("a note",), ({"prompt": "é", "reply": "ok"},),
)  # fmt: skip


@pytest.fixture
def config(typed: Callable[..., Any], tmp_path: Path) -> Any:
    return typed("trainer=sft", f"outputs_root={tmp_path}")


@pytest.fixture
def subject(config: Any) -> LoadedSubject:
    return LoadedSubject("base", Weights(config), 512)


def store_of(subject: LoadedSubject, tmp_path: Path, settings: Settings = Settings()) -> Store:  # noqa: B008
    data = SuiteData(subject.weights.config.dataset, None, tmp_path, settings)
    return Store(subject, data, settings)


def test_there_and_back(subject: LoadedSubject, tmp_path: Path) -> None:
    store = store_of(subject, tmp_path)
    assert store.read("human_turn_nll") is None
    store.write("human_turn_nll", RESULT)
    assert store.read("human_turn_nll") == RESULT
    stored = json.loads(store.path("human_turn_nll").read_text())
    assert len(stored["lists"]) < 4 * 3  # equal lists are there once
    assert stored["key"]["data"].keys() == {"own_conversations", "own_conversations_training"}
    assert store.path("human_turn_nll").parent.name == "test"
    assert not list(tmp_path.rglob(".*.json.*"))


def test_the_file_is_named_by_what_it_depends_on(subject: LoadedSubject, config: Any, tmp_path: Path) -> None:
    store = store_of(subject, tmp_path)
    path = store.path("human_turn_nll")
    assert store_of(subject, tmp_path).path("human_turn_nll") == path
    assert store_of(subject, tmp_path, Settings(margin=3.0)).path("human_turn_nll") != path
    fewer = replace(config, dataset=replace(config.dataset, size=90))
    assert store_of(LoadedSubject("base", Weights(fewer), 512), tmp_path).path("human_turn_nll") != path
    rounded = replace(config, hardware=replace(config.hardware, dtype="bfloat16"))
    assert LoadedSubject("base", Weights(rounded), 512).key != subject.key
    assert LoadedSubject("other label", Weights(config), 512).key == subject.key
    assert LoadedSubject("base", Weights(config), 512, subject).key != subject.key  # another reference, other rewards


@pytest.mark.parametrize("content", ["", "{}", '{"lists": [], "result": {"measured": {"a": {"items": 3}}}}'])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match=r"a\.json is not a stored result"):
        read_result(tmp_path / "a.json")


def test_a_subject_scores_as_training_does(subject: LoadedSubject) -> None:
    """And once: what it said is read the second time, to the bit, by another subject of the same model."""
    groups = [group([2.0, 1.0, 0.0], ["How many?", "Look again at step 2.", "no"], key=f"g{i}") for i in range(3)]
    rows = [(each.prompt, [response.text for response in each.responses]) for each in groups]
    expected = score_replies(subject._model, subject.tokenizer, groups, 512)
    found = subject.score(rows)
    for row, (logps, counts) in zip(found, expected, strict=True):
        assert [logp for logp, _ in row] == pytest.approx(logps, rel=1e-6)
        assert tuple(count for _, count in row) == counts
    other = LoadedSubject("again", subject.weights, 512)
    assert other.score(rows) == found
    assert "_model" not in other.__dict__
    assert LoadedSubject("on it", subject.weights, 512, other).reference_score(rows) == found
    assert subject.reference_score(rows) is None


def test_the_base_of_a_chain_is_its_first_model(subject: LoadedSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"base": -1.0, "first": -2.0, "second": -3.0, "third": -4.0}
    monkeypatch.setattr(LoadedSubject, "score", lambda self, rows: [[(said[self.label], 1)] for _ in rows])
    chain: list[LoadedSubject] = []
    for label in said:
        chain.append(LoadedSubject(label, subject.weights, 512, *chain[-1:]))
    rows = [((Message("user", "2 + 2?"),), ["a"])]
    assert [each.base_score(rows) for each in chain] == [None, None, [[(-1.0, 1)]], [[(-1.0, 1)]]]
    assert chain[3].reference_score(rows) == [[(-3.0, 1)]]


def test_replies_come_in_the_order_of_the_prompts(subject: LoadedSubject) -> None:
    prompts = [(Message("user", "x" * length),) for length in (90, 3, 40)]
    together = subject.replies(prompts, 5)
    alone = [LoadedSubject("one", subject.weights, 512).replies([prompt], 5)[0] for prompt in prompts]
    assert together == alone
