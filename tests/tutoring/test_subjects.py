"""The hand-written preference groups: structure, scores that fit the kind, and nothing that gives the best one away."""

from collections import Counter

import pytest

from edu_align.records import Response, ResponseGroup
from edu_align.tutoring.subjects_reader import hand_written

AT_LEAST = {
    "physics": 22, "chemistry": 22, "programming": 22, "biology": 8, "writing": 17, "history": 17, "languages": 17,
    "study_skills": 17,
}  # fmt: skip
SCIENCES = ("physics", "chemistry", "programming", "biology")
KINDS = {"guiding", "hinting", "vague", "telling", "agreeing", "misdiagnosing", "scolding"}
MARGIN = 2  # points of the sum over the six dimensions
EVERY = hand_written()  # the reader refuses wrong keys, roles, scores and empty texts
GROUPS = {subject: [group for group in EVERY if group.meta["area"] == subject] for subject in AT_LEAST}
by_group = pytest.mark.parametrize("group", EVERY, ids=lambda group: group.id)
by_subject = pytest.mark.parametrize("subject", AT_LEAST)


def guiding(group: ResponseGroup) -> Response:
    (best,) = [response for response in group.responses if response.author == "guiding"]
    return best


@by_subject
def test_enough_groups_numbered_in_order(subject: str) -> None:
    groups = GROUPS[subject]
    assert len(groups) >= AT_LEAST[subject]
    assert [group.id for group in groups] == [f"{subject}-{n:03d}" for n in range(1, len(groups) + 1)]


def test_no_prompt_and_no_reply_appears_twice() -> None:
    others = [group for group in EVERY if group.meta["area"] not in SCIENCES]
    assert len(EVERY) - len(others) >= 74
    assert len(others) >= 70
    assert sum(map(len, GROUPS.values())) == len(EVERY)
    replies = Counter(response.text.casefold() for group in EVERY for response in group.responses)
    prompts = Counter(group.prompt for group in EVERY)
    last = Counter(group.prompt[-1].content.lower() for group in others)
    assert [text for counts in (replies, prompts, last) for text, count in counts.items() if count > 1] == []


@by_group
def test_the_guiding_reply_is_best_by_the_margin_and_keeps_the_answer(group: ResponseGroup) -> None:
    best = guiding(group)
    assert best.score >= MARGIN + max(other.score for other in group.responses if other is not best)
    assert group.meta["answer"].lower() not in best.text.lower()
    assert best.scores["revealing_of_the_answer"] >= 1


@by_group
def test_scores_fit_the_kind(group: ResponseGroup) -> None:
    assert len(group.prompt) in (1, 3, 5)
    kinds = [response.author for response in group.responses]
    assert len(set(kinds) & KINDS) == len(kinds)
    for response in group.responses:
        kind, scores = response.author, response.scores
        if kind == "telling":
            assert scores["revealing_of_the_answer"] == 0
        if kind == "scolding":
            assert scores["tutor_tone"] == 0
        if group.meta["area"] not in SCIENCES:
            continue
        if kind == "telling":
            assert group.meta["answer"].lower() in response.text.lower()
        elif kind == "agreeing":
            assert scores["mistake_identification"] == scores["mistake_location"] == 0
        elif kind == "misdiagnosing":
            assert scores["providing_guidance"] == 0
        elif kind == "vague":
            assert scores["mistake_location"] <= 1


@by_subject
def test_nothing_shallow_gives_the_best_reply_away(subject: str) -> None:
    """Neither its opening, nor its length, its question mark or its position."""
    groups = GROUPS[subject]
    openings = Counter(" ".join(r.text.lower().split()[:4]) for group in groups for r in group.responses)
    assert {opening: count for opening, count in openings.items() if count > 3} == {}
    longest = [len(guiding(g).text) == max(len(r.text) for r in g.responses) for g in groups]
    assert 0.3 <= sum(longest) / len(groups) <= 0.7
    asking = sum(guiding(group).text.endswith("?") for group in groups)
    assert 0 < asking < len(groups)
    if subject in SCIENCES:
        assert asking / len(groups) <= 0.7
    others = [r.text for group in groups for r in group.responses if r.author != "guiding"]
    assert sum("?" in text for text in others) / len(others) >= 0.3
    first = sum(group.responses[0].author == "guiding" for group in groups)
    assert 0 < first / len(groups) <= 0.6
