"""Graded replies keep their promises, judged from their text alone; and the checker notices broken ones."""

from dataclasses import replace
from random import Random

import pytest

from edu_align.records import Response, ResponseGroup
from edu_align.tutoring.corpus import build
from edu_align.tutoring.grading import faults_of
from edu_align.tutoring.library import LIBRARY
from edu_align.tutoring.moves import DIMENSIONS, MOVES, scores_of
from edu_align.tutoring.replies import KINDS, RECIPES, reply, usable
from edu_align.tutoring.splits import SPLITS
from edu_align.tutoring.text import mentions, sentence
from edu_align.tutoring.types import Case

CASE = Case(
    question="What is 52 - 37?",
    answer="15",
    wrong_answer="25",
    work=("Ones: 7 - 2 = 5", "Tens: 5 - 3 = 2", "So it is 25"),
    wrong_step=0,
    topic="subtracting two-digit numbers",
    place="the ones column, 7 - 2",
    cause="you took the smaller digit from the larger one",
    probes=("Which of the two numbers do you start from?", "Can you take 7 from 2 here?", "What is 25 + 37?"),
    hints=("The upper number is the one you have", "One ten is ten ones.", "You can break up a ten"),
    actions=("add your result to 37", "lay out the upper number with coins", "draw both on a number line"),
    solution=("12 - 7 = 5", "4 tens - 3 tens = 1 ten", "So it is 15"),
    wrong_place="the tens column, 5 - 3",
)
META = {name: getattr(CASE, name) for name in ("answer", "wrong_answer", "place", "wrong_place")}
META["misconception"] = "smaller_from_larger"

MAX_SCORE = 2 * len(DIMENSIONS)


def group_faults(group: ResponseGroup) -> list[str]:
    """Broken promises of a group's replies, each with the group's id, the quality and the text.

    A hand-written group has no place to check: only that a guiding or hinting reply does not state the answer key,
    unless the student or tutor already said it.
    """
    found = []
    answer = group.meta["answer"]
    said = any(mentions(message.content, answer) for message in group.prompt)
    for response in group.responses:
        if group.meta["misconception"]:
            faults = faults_of(response, group.meta)
        else:
            tells = response.author in ("guiding", "hinting") and not said and mentions(response.text, answer)
            faults = ["gives the answer away"] if tells else []
        found += [f"{group.id}, {response.author}: {fault}: {response.text!r}" for fault in faults]
    return found


def test_every_reply_of_a_corpus_keeps_its_promise() -> None:
    groups = build(300, 11)
    assert [fault for group in groups for fault in group_faults(group)] == []
    assert {reply.author for group in groups for reply in group.responses} >= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_replies_of_every_recipe_and_split_keep_their_promise(kind: str) -> None:
    for split in SPLITS:
        for seed in range(40):
            assert faults_of(reply(CASE, kind, split, Random(seed)), META) == [], (split, seed)


def test_guiding_and_hinting_use_the_help_of_the_case() -> None:
    for seed in range(60):
        guiding, hinting = (reply(CASE, kind, "train", Random(seed)) for kind in ("guiding", "hinting"))
        assert any(sentence(text) in guiding.text for text in (*CASE.probes, *CASE.hints, *CASE.actions))
        assert any(sentence(text) in hinting.text for text in CASE.hints)
        assert not any(text in hinting.text for text in (*CASE.probes, *CASE.actions))


@pytest.mark.parametrize(
    ("kind", "text", "fault"),
    [
        ("guiding", "Nice. The mistake is in the ones column, 7 - 2. Do you get 15?", "gives the answer away"),
        ("guiding", "Nice. There is a mistake. What is 25 + 37?", "lacks the place of the mistake"),
        ("locating", "Nice. The mistake is in {place}.", "broken text"),
        ("vague", "Nice. The mistake is in the ones column, 7 - 2.", "has the place of the mistake"),
        ("agreeing", "Nice. Yes, that is right.", "lacks the wrong answer"),
        ("agreeing", "Nice. You wrote 25.", "lacks assent"),
        ("misdiagnosing", "Nice. The mistake is in the ones column, 7 - 2.", "lacks another place"),
        ("scolding", "The mistake is in the ones column, 7 - 2.", "lacks harsh words"),
        ("telling", "Nice, you will get there, there is a mistake.", "revealing score"),
        ("hinting", "This is careless: the mistake is in the ones column, 7 - 2.", "the tone score"),
        ("hinting", "Nice. The mistake is in the ones column, 7 - 2", "no mark at the end"),
        ("hinting", "The mistake is in the ones column, 7 - 2.", "without a kind word"),
    ],
)
def test_checker_notices_a_broken_promise(kind: str, text: str, fault: str) -> None:
    scores = scores_of(RECIPES[kind][0].split())
    faults = faults_of(Response(text, sum(scores.values()), scores, kind), META)
    assert any(fault in found for found in faults), faults


def test_checker_compares_scores_with_the_text() -> None:
    made = reply(CASE, "guiding", "train", Random(0))
    wrong = replace(made, scores={**made.scores, "mistake_location": 0.0})
    assert faults_of(wrong, META) == ["the location score and the place in the text disagree"]


def test_scores_follow_from_the_moves() -> None:
    table = """
        warm locate ask: 222222, scold locate ask: 222220, warm locate hint: 222122, flag retry: 200121,
        doubt cheer: 100022, flag tell: 211001, agree warm onward: 000022, warm miss ask: 101122
    """
    for row in table.split(","):
        moves, points = row.split(":")
        assert list(scores_of(moves.split()).values()) == [int(point) for point in points.strip()], moves
    assert tuple(scores_of(("flag",))) == DIMENSIONS


def test_qualities_are_ranked_as_the_card_says() -> None:
    totals = {kind: [sum(scores_of(r.split()).values()) for r in recipes] for kind, recipes in RECIPES.items()}
    assert set(totals["guiding"]) == {MAX_SCORE}
    assert all(max(values) < MAX_SCORE for kind, values in totals.items() if kind != "guiding")
    assert max(totals["agreeing"]) < min(min(values) for kind, values in totals.items() if kind != "agreeing")
    assert max(totals["telling"]) < min(totals["hinting"])
    assert MOVES["miss"].phrasings == MOVES["locate"].phrasings, "the wording gives neither away"


def test_a_case_that_shows_its_answer_is_not_usable() -> None:
    assert usable(CASE)
    elsewhere = "The ones column, 7 - 2, at the start"
    for shown in ({"place": "the ones column, 15"}, {"probes": ("Is it 15?",)}, {"wrong_place": elsewhere}):
        assert not usable(replace(CASE, **shown))


def test_most_draws_of_every_misconception_are_usable() -> None:
    for item in LIBRARY:
        cases = [item.make(Random(seed)) for seed in range(6)]
        assert sum(usable(case) for case in cases) >= 3, item.id
        assert all(mentions(case.solution[-1], case.answer) for case in cases), item.id
