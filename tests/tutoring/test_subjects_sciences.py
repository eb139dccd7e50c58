"""Structure and balance of the hand-written preference groups for the sciences and programming."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import edu_align.tutoring

FOLDER = Path(next(iter(edu_align.tutoring.__path__))) / "subjects"
AT_LEAST = {"physics": 22, "chemistry": 22, "programming": 22, "biology": 8}
TOTAL_AT_LEAST = 74
KINDS = {"guiding", "hinting", "vague", "telling", "agreeing", "misdiagnosing", "scolding"}
DIMENSIONS = {
    "mistake_identification",
    "mistake_location",
    "providing_guidance",
    "actionability",
    "revealing_of_the_answer",
    "tutor_tone",
}
MARGIN = 2  # points of the sum over the six dimensions
Group = dict[str, Any]


def read(subject: str) -> list[Group]:
    text = (FOLDER / f"{subject}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


GROUPS = {subject: read(subject) for subject in AT_LEAST}
EVERY = [group for groups in GROUPS.values() for group in groups]
by_group = pytest.mark.parametrize("group", EVERY, ids=lambda group: group["id"])
by_subject = pytest.mark.parametrize("subject", AT_LEAST)


def total(response: Group) -> int:
    return sum(response["scores"].values())


def guiding_reply(group: Group) -> Group:
    (best,) = [response for response in group["responses"] if response["kind"] == "guiding"]
    return best


@by_subject
def test_enough_groups_numbered_in_order(subject: str) -> None:
    groups = GROUPS[subject]
    assert len(groups) >= AT_LEAST[subject]
    assert [group["id"] for group in groups] == [f"{subject}-{n:03d}" for n in range(1, len(groups) + 1)]
    assert {group["subject"] for group in groups} == {subject}


def test_total_and_unique_prompts() -> None:
    assert len(EVERY) >= TOTAL_AT_LEAST
    prompts = Counter(json.dumps(group["prompt"]) for group in EVERY)
    assert max(prompts.values()) == 1


@by_group
def test_structure(group: Group) -> None:
    assert set(group) == {"id", "subject", "prompt", "answer", "responses"}
    roles = [turn["role"] for turn in group["prompt"]]
    assert len(roles) in (1, 3, 5)
    assert roles == ["user" if n % 2 == 0 else "assistant" for n in range(len(roles))]
    assert all(set(turn) == {"role", "content"} and turn["content"].strip() for turn in group["prompt"])
    assert group["answer"].strip()
    assert 3 <= len(group["responses"]) <= 5


@by_group
def test_kinds_and_scores(group: Group) -> None:
    kinds = [response["kind"] for response in group["responses"]]
    assert set(kinds) <= KINDS
    assert len(set(kinds)) == len(kinds)
    for response in group["responses"]:
        assert set(response) == {"text", "kind", "scores"}
        assert response["text"] == response["text"].strip() != ""
        assert set(response["scores"]) == DIMENSIONS
        assert all(type(score) is int and score in (0, 1, 2) for score in response["scores"].values())


@by_group
def test_guiding_reply_is_best_by_the_margin(group: Group) -> None:
    best = guiding_reply(group)
    assert total(best) >= MARGIN + max(total(other) for other in group["responses"] if other is not best)


@by_group
def test_answer_is_told_only_by_replies_scored_so(group: Group) -> None:
    answer = group["answer"].lower()
    assert answer not in guiding_reply(group)["text"].lower()
    for response in group["responses"]:
        if response["kind"] == "telling":
            assert answer in response["text"].lower()
            assert response["scores"]["revealing_of_the_answer"] == 0


@by_group
def test_scores_fit_the_kind(group: Group) -> None:
    for response in group["responses"]:
        scores = response["scores"]
        if response["kind"] == "scolding":
            assert scores["tutor_tone"] == 0
        elif response["kind"] == "agreeing":
            assert scores["mistake_identification"] == scores["mistake_location"] == 0
        elif response["kind"] == "misdiagnosing":
            assert scores["providing_guidance"] == 0
        elif response["kind"] == "vague":
            assert scores["mistake_location"] <= 1


def test_no_reply_appears_twice() -> None:
    texts = Counter(response["text"].casefold() for group in EVERY for response in group["responses"])
    assert [text for text, count in texts.items() if count > 1] == []


@by_subject
def test_openings_vary(subject: str) -> None:
    replies = [response["text"] for group in GROUPS[subject] for response in group["responses"]]
    openings = Counter(" ".join(text.lower().split()[:4]) for text in replies)
    assert {opening: count for opening, count in openings.items() if count > 3} == {}


@by_subject
def test_length_does_not_give_the_best_reply_away(subject: str) -> None:
    longest = [
        len(guiding_reply(group)["text"]) == max(len(response["text"]) for response in group["responses"])
        for group in GROUPS[subject]
    ]
    assert 0.3 <= sum(longest) / len(longest) <= 0.7


@by_subject
def test_question_mark_does_not_give_the_best_reply_away(subject: str) -> None:
    best = [guiding_reply(group)["text"] for group in GROUPS[subject]]
    others = [r["text"] for group in GROUPS[subject] for r in group["responses"] if r["kind"] != "guiding"]
    assert sum("?" in text for text in others) / len(others) >= 0.3
    assert sum(not text.endswith("?") for text in best) / len(best) >= 0.3


@by_subject
def test_position_does_not_give_the_best_reply_away(subject: str) -> None:
    first = [group["responses"][0]["kind"] == "guiding" for group in GROUPS[subject]]
    assert 0 < sum(first) / len(first) <= 0.6
