"""What metrics will ask is known before anything is computed, and computed once."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from edu_align.evaluation.suite import subject as subject_module
from edu_align.evaluation.suite.asking import dialogues, prepare, reply_key, score_key
from edu_align.evaluation.suite.data import Settings, SuiteData
from edu_align.evaluation.suite.results import MetricResult, Subject
from edu_align.evaluation.suite.subject import LoadedSubject, Weights
from edu_align.records import Message

FEW = Settings(max_new_tokens=4, max_length=512)
ONE, TWO = (Message("user", "2 + 2?"),), (Message("user", "3 + 3?"),)
Made = Callable[..., LoadedSubject]


@pytest.fixture
def made(typed: Callable[..., Any], tmp_path: Path) -> Made:
    def subject(label: str = "base", reference: LoadedSubject | None = None, *words: str) -> LoadedSubject:
        config = typed("trainer=sft", f"outputs_root={tmp_path}", *words)
        return LoadedSubject(label, Weights(config), FEW.max_length, reference)

    return subject


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """(model, rows scored, prompts answered) of every call of a model."""
    seen = []
    answer = subject_module.answer

    def noted(model: Any, tokenizer: Any, families: Sequence[Any], prompts: Sequence[Any], *rest: Any) -> Any:
        seen.append((rest[1], sum(map(len, families)), len(prompts)))
        return answer(model, tokenizer, families, prompts, *rest)

    monkeypatch.setattr(subject_module, "answer", noted)
    return seen


def metric(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    rows = [(ONE, ["a", "b"]), (TWO, ["a"])]
    scores = subject.score(rows)
    subject.reference_score(rows)
    replies = subject.replies([ONE], settings.max_new_tokens)
    return MetricResult("metric", "", {}, notes=(str(scores), *replies))


def other(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    (((logp, _),),) = subject.score([(TWO, ["a"])])
    return MetricResult("other", "", {}, notes=(str(1 / (logp + 1)),))  # cannot be had of a made-up score


def test_all_metrics_ask_at_once(made: Made, asked: list[Any]) -> None:
    base = made("base")
    tutor = made("SFT", base, "seed=7")
    data: Any = None
    prepare(tutor, [metric, other], data, FEW)
    assert asked == [("base", 3, 0), ("SFT", 3, 1)]
    found = [each(tutor, data, FEW) for each in (metric, other)]
    assert len(asked) == 2, "everything was known"
    assert [each(made("again", base, "seed=7"), data, FEW) for each in (metric, other)] == found
    assert len(asked) == 2, "and is kept"


def test_it_is_what_is_computed_one_by_one(made: Made, asked: list[Any], tmp_path: Path) -> None:
    together, alone = made(), made("base", None, "cache_gb=0")
    prepare(together, [metric], None, FEW)  # type: ignore[arg-type]
    (scores, reply) = metric(together, None, FEW).notes  # type: ignore[arg-type]
    ((a, b), (c,)) = [alone.score([(ONE, [text])])[0][0] for text in "ab"], alone.score([(TWO, ["a"])])[0]
    assert len(asked) == 1 + 3
    assert [value for row in eval(scores) for pair in row for value in pair] == pytest.approx([*a, *b, *c], rel=1e-6)
    assert [reply] == alone.replies([ONE], 4)


def test_what_is_cut_off_goes_on(made: Made, asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is written part by part, and what lies there is not computed again."""
    monkeypatch.setattr(subject_module, "PART", 1)
    model = made()
    texts = subject_module.texts

    def cut_off(*given: Any) -> list[str]:
        if len(asked) == 2:
            raise KeyboardInterrupt
        return texts(*given)

    rows = [(ONE, ["a", "b"]), (TWO, ["a"])]
    monkeypatch.setattr(subject_module, "texts", cut_off)
    with pytest.raises(KeyboardInterrupt):
        model.score(rows)
    monkeypatch.setattr(subject_module, "texts", texts)
    assert asked == [("base", 2, 0), ("base", 1, 0)]
    again = made()
    again.score(rows)
    assert asked[2:] == [("base", 1, 0)]


def test_replies_of_several_lengths_are_told_apart(made: Made, asked: list[Any]) -> None:
    model = made()
    model.prepare([(ONE, ["a"])], [(ONE, 3), (ONE, 5), (TWO, 3)])
    assert asked == [("base", 1, 2), ("base", 0, 1)]
    short, long = model.replies([ONE], 3)[0], model.replies([ONE], 5)[0]
    assert long.startswith(short)
    assert len(asked) == 2


def test_dialogues_hold_what_is_not_known() -> None:
    rows, prompts = [(ONE, ["a", "b"]), (ONE, ["b", "c"]), (TWO, ["a"])], [(ONE, 3)]
    first, second = dialogues(rows, prompts, [])
    assert [*first.scored.values()] == ["a", "b", "c"]
    assert [*first.asked.values()] == [3]
    assert [*second.scored.values()] == ["a"]
    (left,) = dialogues(rows, prompts, [score_key(TWO, "a"), score_key(ONE, "b"), reply_key(ONE, 3)])
    assert [*left.scored.values()] == ["a", "c"]
    assert not left.asked
