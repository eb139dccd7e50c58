"""The corpus's own metrics: what rules read off a text agrees with how the text was made."""

from collections.abc import Callable

import pytest

from edu_align.evaluation.suite import reply_text
from edu_align.evaluation.suite.corpus import CELLS, EACH, MARKS, by_group, corpus_metrics, corpus_prompts
from edu_align.evaluation.suite.prompts import Generated, Prompt
from edu_align.evaluation.suite.results import Series
from edu_align.records import Response, ResponseGroup
from edu_align.tutoring.corpus import load
from edu_align.tutoring.library import split_of

Read = Callable[[ResponseGroup, Response], bool | None]
PLACES = {"place": "the tens column, 4 + 3", "wrong_place": "the ones column, 7 + 4 = 11"}
META = {"answer": "81", "wrong_answer": "71", **PLACES}
WORK = "What is 47 + 34?\nOnes column: 7 + 4 = 11, I write 1.\nTens column: 4 + 3 = 7. So it is 71."


@pytest.fixture(scope="module")
def groups() -> list[ResponseGroup]:
    return [group for group in load(240, 42) if group.meta["misconception"]]


def disagreement(groups: list[ResponseGroup], read: Read, made: Callable[[Response], bool]) -> float:
    """Share of the replies, of those that count, that are read otherwise than they were made."""
    pairs = [(read(group, reply), made(reply)) for group in groups for reply in group.responses]
    counted = [(one, other) for one, other in pairs if one is not None]
    assert {other for _, other in counted} == {True, False}
    return sum(one != other for one, other in counted) / len(counted)


def said(group: ResponseGroup) -> str:
    return "\n".join(turn.content for turn in group.prompt)


def test_graded_replies_are_read_as_they_were_made(groups: list[ResponseGroup]) -> None:
    """Found: only a solution whose answer the student has written already goes unseen (0.3 % of the replies)."""
    found: list[tuple[str, Read, Callable[[float], bool], float]] = [
        (
            "mistake_identification",
            lambda g, r: reply_text.finds(r.text, said(g), g.meta),
            lambda score: score > 0,
            0.005,
        ),
        ("mistake_location", lambda g, r: reply_text.locates(r.text, g.meta), lambda score: score == 2, 0),
        (
            "revealing_of_the_answer",
            lambda g, r: reply_text.reveals(r.text, said(g), g.meta),
            lambda score: score == 0,
            0,
        ),
    ]
    for dimension, read, made, most in found:
        assert disagreement(groups, read, lambda r, made=made, name=dimension: made(r.scores[name])) <= most
    added = [reply_text.calculates(reply.text, said(group)) for group in groups for reply in group.responses]
    assert False not in added
    assert added.count(True) > 100


@pytest.mark.parametrize(
    ("text", "found", "located"),
    [
        ("There is a mistake in the tens column, 4 + 3.", True, True),
        ("Careful: something is not right in the tens column, where you added 4 and 3.", True, True),
        ("Check again the 4 + 3 of the tens column.", True, True),
        ("Look at the tens column, 4 + 3.", True, True),
        ("Please recheck your work.", True, False),
        ("There is a mistake in the ones column, 7 + 4 = 11.", True, False),
        ("The ones column, 7 + 4 = 11, is fine. The mistake sits in the tens column, 4 + 3.", True, True),
        ("Something is wrong. " + WORK, True, False),
        ("You forgot to carry.", False, False),
        ("The answer is 81.", True, False),
        ("Yes, 71 is right.", False, False),
        ("71 is not correct.", True, False),
        ("There is no mistake in here, so 71 stands.", False, False),
        ("Let us solve it step by step.", False, False),
        ("", False, False),
    ],
)
def test_free_text(text: str, found: bool, located: bool) -> None:
    assert reply_text.finds(text, WORK, META) is found
    assert reply_text.locates(text, META) is located


def test_what_does_not_count() -> None:
    assert reply_text.reveals("It is 81.", WORK, META) is True
    assert reply_text.reveals("It is not 71.", WORK, META) is False
    assert reply_text.reveals("It is 81.", WORK + " Or 81?", META) is None
    assert reply_text.calculates("You wrote 4 + 3 = 7.", WORK) is None
    assert reply_text.calculates("Now 4 + 3 + 1 = 8.", WORK) is True
    assert reply_text.calculates("Now 4 + 3 + 1 = 8, so 80 + 1 = 82.", WORK) is False


@pytest.fixture(scope="module")
def prompts(groups: list[ResponseGroup]) -> list[Prompt]:
    return corpus_prompts("test", [group for group in groups if group.meta["split"] == "train"])


def test_cells_cross_misconceptions_and_wordings(groups: list[ResponseGroup], prompts: list[Prompt]) -> None:
    where = split_of()
    sides = {cell: {where[one.meta["misconception"]] for one in prompts if one.meta["cell"] == cell} for cell in CELLS}
    sides_of = {"held_out": "test", "seen_phrasing": "test", "seen_misconception": "train", "seen": "train"}
    assert sides == {cell: {side} for cell, side in sides_of.items()}
    assert len({one.item for one in prompts}) == len(prompts) > 0.9 * EACH * len(CELLS)
    trained = {group.prompt for group in groups if group.meta["split"] == "train"}
    assert not trained & {one.turns for one in prompts}
    assert prompts == corpus_prompts("test", [group for group in groups if group.meta["split"] == "train"])


def test_no_prompt_poses_a_trained_problem(prompts: list[Prompt]) -> None:
    own = [ResponseGroup(one.turns, (), one.item, "", "") for one in prompts[:20]]
    again = corpus_prompts("test", own)
    assert not {one.turns for one in again} & {one.turns for one in prompts[:20]}


def test_the_guiding_reply_is_the_best_and_the_agreeing_one_the_worst(prompts: list[Prompt]) -> None:
    replies = {one.item: one.others["guiding" if n % 2 else "agreeing"] for n, one in enumerate(prompts)}
    result = corpus_metrics(Generated(tuple(prompts), replies))
    assert {name.split("/")[0] for name in result.measured} == set(MARKS)
    for cell in ("", *(f"/{cell}" for cell in CELLS if cell != "held_out")):
        for mark, best in (("mistake_found", 1), ("mistake_located", 1), ("answer_leaked", 0)):
            rules = result.baselines[mark + cell]
            assert set(rules["guiding reply"].values) == {float(best)}
            assert set(rules["agreeing reply"].values) == {0.0}
            assert set(rules["constant reply"].values) == {1.0 if mark == "mistake_found" else 0.0}
        assert set(result.measured["mistake_found" + cell].values) == {0.0, 1.0}
    assert sum(result.baselines["mistake_located"]["copy of the student"].values) < 0.2 * EACH
    assert len(by_group(result.measured["mistake_found"])) == 15


def test_means_by_misconception() -> None:
    series = Series.of([("a", "m1", 1.0, 1.0), ("b", "m1", 0.0, 1.0), ("c", "m2", 1.0, 0.0), ("d", "m3", 1.0, 1.0)])
    assert by_group(series) == {"m1": (0.5, 2.0), "m3": (1.0, 1.0)}
