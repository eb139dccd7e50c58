"""Candidates are chosen by content alone, and a model that reads the dialogue finds its own reply."""

from types import SimpleNamespace
from typing import Any

import pytest

from edu_align.evaluation.suite.context_use import CANDIDATES, context_use, with_candidates
from edu_align.evaluation.suite.data import Settings, SourceAbsentError
from tests.evaluation.suite.subjects import ReadingSubject, dialogue


@pytest.fixture
def groups() -> list[Any]:
    """Twelve problems; the reply to problem i names its number and has i // 3 words more."""
    return [
        dialogue(f"q{i}", f"number{i} and more", {"Expert": (f"look at number{i}" + " please" * (i // 3), 8.0)})
        for i in range(12)
    ]


def test_candidates(groups: list[Any]) -> None:
    made = with_candidates(groups)
    assert len(made) == len(groups)
    for before, after in zip(groups, made, strict=True):
        texts = [response.text for response in after.responses]
        assert texts[0] == before.responses[0].text
        assert [response.score for response in after.responses] == [1.0] + [0.0] * (CANDIDATES - 1)
        assert len(set(texts)) == CANDIDATES
        lengths = sorted(abs(len(text.split()) - len(texts[0].split())) for text in texts[1:])
        every = sorted(abs(len(g.responses[0].text.split()) - len(texts[0].split())) for g in groups if g is not before)
        assert lengths == every[: CANDIDATES - 1]


def test_the_order_of_the_records_plays_no_part(groups: list[Any]) -> None:
    there, back = ({g.id: g.responses for g in with_candidates(order)} for order in (groups, groups[::-1]))
    assert there == back


def test_dialogues_of_one_group_are_no_candidates_for_each_other(groups: list[Any]) -> None:
    again = dialogue("q0", "number0 again", {"Expert": ("another reply to number0", 8.0)})
    for group in with_candidates([*groups, again]):
        if group.group == "q0":
            assert sum("number0" in response.text.split() for response in group.responses) == 1


def test_too_few_problems_are_said() -> None:
    few = [dialogue(f"q{i}", "?", {"Expert": (f"reply {i}", 8.0)}) for i in range(CANDIDATES - 1)]
    data: Any = SimpleNamespace(mrbench=few, mrbench_training=few)
    with pytest.raises(SourceAbsentError, match="fewer than 8"):
        context_use(ReadingSubject(lambda prompt, text: (0.0, 1)), data, Settings())


def test_readers_and_non_readers(groups: list[Any]) -> None:
    data: Any = SimpleNamespace(mrbench=groups, mrbench_training=groups)

    def reads(prompt: Any, text: str) -> tuple[float, int]:
        named = {word for word in text.split() if word.startswith("number")}
        return -len(text) + 5.0 * bool(named & set(prompt[-1].content.split())), len(text)

    def style(prompt: Any, text: str) -> tuple[float, int]:
        return -float(len(text)), len(text)

    found = context_use(ReadingSubject(reads, style), data, Settings())
    rules = found.baselines["context_use/mean_logp"]
    for series in (*found.measured.values(), rules["idf_overlap"]):
        assert set(series.values) == {1.0}
    assert set(found.measured) == {"context_use/mean_logp", "context_use/implicit"}
    assert set(rules["chance"].values) == {1 / CANDIDATES}
    blind = context_use(ReadingSubject(style), data, Settings())
    assert set(blind.measured["context_use/mean_logp"].values) == {1 / CANDIDATES}  # all tie at 0
