"""The hand-written preference groups: structure, scores that fit the kind, and nothing that gives the best one away."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import edu_align.tutoring
from edu_align.tutoring.moves import DIMENSIONS

FOLDER = Path(next(iter(edu_align.tutoring.__path__))) / "subjects"
AT_LEAST = {
    "physics": 22, "chemistry": 22, "programming": 22, "biology": 8, "writing": 17, "history": 17, "languages": 17,
    "study_skills": 17,
}  # fmt: skip
SCIENCES = ("physics", "chemistry", "programming", "biology")
KINDS = {"guiding", "hinting", "vague", "telling", "agreeing", "misdiagnosing", "scolding"}
MARGIN = 2  # points of the sum over the six dimensions
Group = dict[str, Any]


def read(subject: str) -> list[Group]:
    return [json.loads(line) for line in (FOLDER / f"{subject}.jsonl").read_text(encoding="utf-8").splitlines()]


GROUPS = {subject: read(subject) for subject in AT_LEAST}
EVERY = [group for groups in GROUPS.values() for group in groups]
by_group = pytest.mark.parametrize("group", EVERY, ids=lambda group: group["id"])
by_subject = pytest.mark.parametrize("subject", AT_LEAST)


def total(response: Group) -> int:
    return sum(response["scores"].values())


def guiding(group: Group) -> Group:
    (best,) = [response for response in group["responses"] if response["kind"] == "guiding"]
    return best


@by_subject
def test_enough_groups_numbered_in_order(subject: str) -> None:
    groups = GROUPS[subject]
    assert len(groups) >= AT_LEAST[subject]
    assert [group["id"] for group in groups] == [f"{subject}-{n:03d}" for n in range(1, len(groups) + 1)]
    assert {group["subject"] for group in groups} == {subject}


def test_no_prompt_and_no_reply_appears_twice() -> None:
    assert len([group for group in EVERY if group["subject"] in SCIENCES]) >= 74
    assert len([group for group in EVERY if group["subject"] not in SCIENCES]) >= 70
    replies = Counter(response["text"].strip().casefold() for group in EVERY for response in group["responses"])
    prompts = Counter(json.dumps(group["prompt"]) for group in EVERY)
    last = Counter(g["prompt"][-1]["content"].strip().lower() for g in EVERY if g["subject"] not in SCIENCES)
    assert [text for counts in (replies, prompts, last) for text, count in counts.items() if count > 1] == []


@by_group
def test_structure(group: Group) -> None:
    assert set(group) == {"id", "subject", "prompt", "answer", "responses"}
    roles = [turn["role"] for turn in group["prompt"]]
    assert len(roles) in (1, 3, 5)
    assert roles == ["user" if n % 2 == 0 else "assistant" for n in range(len(roles))]
    assert all(set(turn) == {"role", "content"} and turn["content"].strip() for turn in group["prompt"])
    assert group["answer"].strip()
    assert 3 <= len(group["responses"]) <= 5
    kinds = [response["kind"] for response in group["responses"]]
    assert set(kinds) <= KINDS
    assert len(set(kinds)) == len(kinds)
    for response in group["responses"]:
        assert set(response) == {"text", "kind", "scores"}
        assert response["text"] == response["text"].strip() != ""
        assert set(response["scores"]) == set(DIMENSIONS)
        assert all(type(score) is int and score in (0, 1, 2) for score in response["scores"].values())


@by_group
def test_the_guiding_reply_is_best_by_the_margin_and_keeps_the_answer(group: Group) -> None:
    best = guiding(group)
    assert total(best) >= MARGIN + max(total(other) for other in group["responses"] if other is not best)
    assert group["answer"].lower() not in best["text"].lower()
    assert best["scores"]["revealing_of_the_answer"] >= 1


@by_group
def test_scores_fit_the_kind(group: Group) -> None:
    for response in group["responses"]:
        kind, scores = response["kind"], response["scores"]
        if kind == "telling":
            assert scores["revealing_of_the_answer"] == 0
        if kind == "scolding":
            assert scores["tutor_tone"] == 0
        if group["subject"] not in SCIENCES:
            continue
        if kind == "telling":
            assert group["answer"].lower() in response["text"].lower()
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
    replies = [response["text"] for group in groups for response in group["responses"]]
    openings = Counter(" ".join(text.lower().split()[:4]) for text in replies)
    assert {opening: count for opening, count in openings.items() if count > 3} == {}
    longest = [len(guiding(g)["text"]) == max(len(r["text"]) for r in g["responses"]) for g in groups]
    assert 0.3 <= sum(longest) / len(groups) <= 0.7
    asking = sum(guiding(group)["text"].endswith("?") for group in groups)
    assert 0 < asking < len(groups)
    if subject in SCIENCES:
        assert asking / len(groups) <= 0.7
    others = [r["text"] for group in groups for r in group["responses"] if r["kind"] != "guiding"]
    assert sum("?" in text for text in others) / len(others) >= 0.3
    first = sum(group["responses"][0]["kind"] == "guiding" for group in groups)
    assert 0 < first / len(groups) <= 0.6
