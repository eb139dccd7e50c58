"""Replies are graded by what people labelled in training, and the grader's agreement with people comes with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edu_align.data.sources.mrbench import SCORED
from edu_align.evaluation.suite.data import Settings, SourceAbsentError
from edu_align.evaluation.suite.graded import graded
from edu_align.evaluation.suite.leak import CONSTANT
from edu_align.evaluation.suite.subject import LoadedSubject, Weights
from edu_align.evaluation.suite.summarise import summarise
from edu_align.models.scoring import reply_rows, reply_states
from edu_align.records import Message, Response, ResponseGroup
from tests.evaluation.suite.subjects import ReadingSubject


def group(number: int) -> ResponseGroup:
    """Replies that ask are labelled Yes, vague ones To some extent, others No."""
    said = {"Expert": ("What is 3 + 4?", 2.0), "GPT4": ("Hmm.", 1.0), "Novice": ("It is 7.", 0.0)}
    replies = [
        Response(text, 4 * points, dict.fromkeys(SCORED, points), author) for author, (text, points) in said.items()
    ]
    return ResponseGroup((Message("user", f"{number} + 4?"),), tuple(replies), f"row {number}", "mrbench", f"q{number}")


class Data:
    def __init__(self, training: int = 12) -> None:
        self.mrbench_training = [group(number) for number in range(training)]
        self.mrbench = [group(number) for number in range(50, 58)]


def state(prompt: Any, text: str) -> tuple[float, ...]:
    return float("?" in text), float("." in text), float(text == "Hmm.")


def rows_of(subject: ReadingSubject) -> dict[str, dict[str, Any]]:
    result = graded(subject, Data(), Settings())  # type: ignore[arg-type]
    return {row["name"]: row for row in summarise({"base": {"graded": result}}, seed=0, samples=50)}


def test_agreement_comes_first_and_then_the_models_own_replies() -> None:
    asking = rows_of(ReadingSubject(reply=lambda prompt: "What did you add?", state=state))
    telling = rows_of(ReadingSubject(reply=lambda prompt: "It is 54.", state=state))
    assert [name.split("/")[0] for name in asking] == ["grader_agreement"] * 4 + ["graded"] * 4
    agreement = asking["grader_agreement/mistake_location"]
    assert (agreement["value"], agreement["n"], agreement["groups"]) == (1.0, 24, 8)
    assert agreement["baselines"]["majority label"]["value"] == pytest.approx(1 / 3)
    assert agreement["verdict"] == ""
    own = asking["graded/mistake_location"]
    assert own["value"] > 1.5 > 0.7 > telling["graded/mistake_location"]["value"]
    assert set(own["baselines"]) == {"constant reply", "Expert"}
    assert "?" not in CONSTANT
    assert own["baselines"]["constant reply"]["value"] < 1 < own["baselines"]["Expert"]["value"]
    assert "macro-F1 1.000" in own["notes"][0]
    assert not any("no evidence" in note for note in own["notes"])


def test_a_grader_that_reads_nothing_says_so() -> None:
    found = rows_of(ReadingSubject(reply=lambda prompt: "What?"))
    assert sum("no evidence" in note for note in found["graded/actionability"]["notes"]) == 4
    assert found["grader_agreement/actionability"]["verdict"] != ""


def test_without_a_training_part_nothing_is_graded() -> None:
    with pytest.raises(SourceAbsentError, match="fewer than two groups"):
        graded(ReadingSubject(), Data(1), Settings())  # type: ignore[arg-type]


def test_states_are_the_base_models_and_are_kept(
    typed: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def subject(label: str, reference: LoadedSubject | None = None, *words: str) -> LoadedSubject:
        return LoadedSubject(label, Weights(typed("trainer=sft", f"outputs_root={tmp_path}", *words)), 512, reference)

    base = subject("base")
    tutor = subject("SFT", base, "seed=7")
    rows = [(one.prompt, [reply.text for reply in one.responses]) for one in map(group, range(3))]
    found = tutor.base_states(rows)
    assert [each.shape[0] for each in found] == [3, 3, 3]
    whole = [reply_states(base._model, [row], base.tokenizer.pad_token_id)[0]
             for row in reply_rows(base.tokenizer, group(1), 512)]  # fmt: skip
    assert np.allclose(found[1], np.stack(whole), atol=1e-5), "alone as beside others"
    base.release()
    monkeypatch.setattr(LoadedSubject, "_model", property(lambda self: pytest.fail("the model was loaded")))
    for again in (base, subject("other", subject("base"), "seed=8")):
        assert all(np.array_equal(a, b) for a, b in zip(again.base_states(rows), found, strict=True))
