"""What training has measured is not asked again by the suite."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edu_align.evaluation.held_out import HeldOut, Measurement, encoded
from edu_align.evaluation.suite.asking import Dialogue, reply_key, score_key
from edu_align.evaluation.suite.handover import hand_over, said_in
from edu_align.evaluation.suite.subject import LoadedSubject, Weights
from edu_align.recipes.tutor import measure_run
from edu_align.records import Message, Response, ResponseGroup
from edu_align.reproduce import METRICS
from edu_align.training import session

Go = Callable[..., Any]
Asked = dict[str, list[Dialogue]]  # by the model


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The dialogues that models are asked in the suite."""
    seen: Asked = {}
    extended = LoadedSubject._extended

    def noted(self: LoadedSubject, part: Sequence[Dialogue], known: Any) -> Any:
        seen.setdefault(self.label, []).extend(part)
        return extended(self, part, known)

    monkeypatch.setattr(LoadedSubject, "_extended", noted)
    return seen


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_suite_after_training_asks_for_nothing_that_was_scored(go: Go, asked: Asked, dtype: str) -> None:
    words = [f"hardware.dtype={dtype}"]
    sft = go("trainer=sft", "evaluation.enabled=false", *words)
    run = go("trainer=dpo", f"init_from={sft.path}", *words).path
    found = measure_run(run, METRICS)
    assert list(asked) == ["base", "SFT", "DPO"]
    for dialogues in asked.values():
        assert {one.prompt[-1].content for one in dialogues} == {""}, "only replies without their dialogue"
        assert not any(one.asked for one in dialogues)
    for folder in ("cache", "evaluations"):
        shutil.rmtree(run.parents[1] / folder)
    asked.clear()
    anew = measure_run(run, METRICS)
    assert all(any(one.prompt[-1].content for one in dialogues) for dialogues in asked.values())
    near = 1e-4 if dtype == "float32" else 0.05
    for label, results in anew.items():
        nats, expected = (
            each["human_turn_nll"].measured["human_turn_nll/edu_tutor"].values for each in (found[label], results)
        )
        assert len(nats) >= 4
        assert nats == pytest.approx(expected, abs=near)


@pytest.mark.parametrize(
    ("words", "models"),
    [
        (["trainer=sft"], 2),
        (["trainer=sft", "adapter.args={init_lora_weights: pissa}"], 1),  # what it begins with is no base any more
        (["trainer=sft", "adapter=full"], 0),
        (["trainer=reward"], 0),
        (["trainer=sft", "cache_gb=0"], 0),
    ],
)
def test_what_is_loaded_otherwise_than_measured_is_not_handed_over(
    go: Go, monkeypatch: pytest.MonkeyPatch, words: list[str], models: int
) -> None:
    handed: list[Weights] = []
    monkeypatch.setattr(session, "hand_over", lambda weights, *rest: handed.append(weights))
    run = go(*words)
    assert [weights.folder for weights in handed] == [None, run.path][2 - models :]


PROMPT = (Message("user", "2 + 2?"),)
GROUP = ResponseGroup(PROMPT, (Response("4", 1.0), Response("4" * 80, 0.0)), "id", "local", "group")
HELD = HeldOut([GROUP], [], [], [GROUP])
MEASURED = Measurement([((-1.0, -2.0), (2, 81))], [], [{"reply": "four"}])


def test_replies_whose_dialogue_was_cut_are_left_out(typed: Any, bytes_tokenizer: Any) -> None:
    held = replace(HELD, encoded=[])
    config = typed("trainer=sft", "evaluation.max_new_tokens=7")
    ((short, long),) = encoded(config, bytes_tokenizer, held)[0]
    weights, length = Weights(config), len(long[0])
    assert len(short[0]) < length < config.trainer.max_length
    reply = {reply_key(PROMPT, 7): "four"}
    first = {score_key(PROMPT, "4"): (-1.0, 2)}
    both = first | {score_key(PROMPT, "4" * 80): (-2.0, 81)}
    assert said_in(weights, bytes_tokenizer, held, MEASURED, length + 1) == reply | both
    assert said_in(weights, bytes_tokenizer, held, MEASURED, length) == reply | first, "the suite may cut it"
    cut = Weights(replace(config, trainer=replace(config.trainer, max_length=length)))
    assert said_in(cut, bytes_tokenizer, replace(HELD, encoded=[]), MEASURED, 2048) == reply | first, "training may"
    without = replace(MEASURED, samples=[])
    assert said_in(weights, bytes_tokenizer, held, without, length + 1) == both


def test_another_template_is_another_model(
    typed: Any, bytes_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = Weights(typed("trainer=sft", f"outputs_root={tmp_path}"))
    held, rows = replace(HELD, encoded=[]), [(PROMPT, ["4"])]
    monkeypatch.setattr(bytes_tokenizer, "chat_template", bytes_tokenizer.chat_template + " ")
    hand_over(weights, bytes_tokenizer, held, MEASURED)
    assert not (tmp_path / "cache").exists()
    monkeypatch.undo()
    hand_over(weights, bytes_tokenizer, held, MEASURED)
    assert LoadedSubject("again", weights, 2048).score(rows) == [[(-1.0, 2)]], "it is not asked"
    hand_over(weights, bytes_tokenizer, held, replace(MEASURED, replies=[((-3.0, -4.0), (2, 81))]))
    assert LoadedSubject("again", weights, 2048).score(rows) == [[(-1.0, 2)]], "what is known stays"
