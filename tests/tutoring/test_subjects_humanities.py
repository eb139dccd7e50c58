"""The hand-written preference groups for writing, history, languages and study skills keep their promises."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

SUBJECTS_DIR = Path(__file__).parents[2] / "edu_align" / "tutoring" / "subjects"
SUBJECTS = ("writing", "history", "languages", "study_skills")
KINDS = {"guiding", "hinting", "vague", "telling", "agreeing", "misdiagnosing", "scolding"}
DIMENSIONS = {
    "mistake_identification",
    "mistake_location",
    "providing_guidance",
    "actionability",
    "revealing_of_the_answer",
    "tutor_tone",
}
Group = dict[str, Any]


def load(subject: str) -> list[Group]:
    lines = (SUBJECTS_DIR / f"{subject}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def guiding(group: Group) -> dict[str, Any]:
    (best,) = [response for response in group["responses"] if response["kind"] == "guiding"]
    return best


def total(response: dict[str, Any]) -> int:
    return sum(response["scores"].values())


@pytest.fixture(scope="module", params=SUBJECTS)
def groups(request: pytest.FixtureRequest) -> list[Group]:
    return load(request.param)


def test_enough_groups_in_all() -> None:
    assert sum(len(load(subject)) for subject in SUBJECTS) >= 70


def test_ids_are_unique_across_files() -> None:
    ids = Counter(group["id"] for subject in SUBJECTS for group in load(subject))
    assert [name for name, count in ids.items() if count > 1] == []


def test_no_prompt_or_reply_appears_twice() -> None:
    every = [group for subject in SUBJECTS for group in load(subject)]
    replies = Counter(response["text"].strip().lower() for group in every for response in group["responses"])
    prompts = Counter(group["prompt"][-1]["content"].strip().lower() for group in every)
    assert [text for text, count in (replies + prompts).items() if count > 1] == []


def test_structure(groups: list[Group]) -> None:
    assert len(groups) >= 17
    subject = groups[0]["subject"]
    assert subject in SUBJECTS
    for number, group in enumerate(groups, start=1):
        assert set(group) == {"id", "subject", "prompt", "answer", "responses"}
        assert group["id"] == f"{subject}-{number:03d}"
        assert group["subject"] == subject
        assert group["answer"].strip()


def test_prompt_roles_alternate_and_end_with_the_student(groups: list[Group]) -> None:
    for group in groups:
        prompt = group["prompt"]
        assert 1 <= len(prompt) <= 5, group["id"]
        assert len(prompt) % 2 == 1, group["id"]
        assert [turn["role"] for turn in prompt] == [("user", "assistant")[i % 2] for i in range(len(prompt))], group[
            "id"
        ]
        assert all(set(turn) == {"role", "content"} and turn["content"].strip() for turn in prompt), group["id"]


def test_kinds_and_score_ranges(groups: list[Group]) -> None:
    for group in groups:
        responses = group["responses"]
        assert 3 <= len(responses) <= 5, group["id"]
        kinds = [response["kind"] for response in responses]
        assert set(kinds) <= KINDS, group["id"]
        assert len(set(kinds)) == len(kinds), group["id"]
        for response in responses:
            assert set(response) == {"text", "kind", "scores"}, group["id"]
            assert response["text"] == response["text"].strip() != "", group["id"]
            assert set(response["scores"]) == DIMENSIONS, group["id"]
            assert all(type(value) is int and value in (0, 1, 2) for value in response["scores"].values()), group["id"]


def test_the_guiding_reply_wins_by_two(groups: list[Group]) -> None:
    for group in groups:
        best = guiding(group)
        rest = [total(response) for response in group["responses"] if response is not best]
        assert total(best) >= max(rest) + 2, group["id"]


def test_the_guiding_reply_keeps_the_answer_back(groups: list[Group]) -> None:
    for group in groups:
        best = guiding(group)
        assert group["answer"].lower() not in best["text"].lower(), group["id"]
        assert best["scores"]["revealing_of_the_answer"] >= 1, group["id"]


def test_telling_gives_the_answer_away_and_scolding_is_harsh(groups: list[Group]) -> None:
    for group in groups:
        for response in group["responses"]:
            if response["kind"] == "telling":
                assert response["scores"]["revealing_of_the_answer"] == 0, group["id"]
            if response["kind"] == "scolding":
                assert response["scores"]["tutor_tone"] == 0, group["id"]


def test_openings_vary(groups: list[Group]) -> None:
    texts = [response["text"] for group in groups for response in group["responses"]]
    openings = Counter(" ".join(text.lower().split()[:4]) for text in texts)
    assert {opening: count for opening, count in openings.items() if count > 3} == {}


def test_length_does_not_give_the_best_reply_away(groups: list[Group]) -> None:
    longest = [guiding(group) is max(group["responses"], key=lambda r: len(r["text"])) for group in groups]
    assert 0.3 <= sum(longest) / len(longest) <= 0.7


def test_position_and_question_marks_do_not_give_the_best_reply_away(groups: list[Group]) -> None:
    first = sum(group["responses"][0]["kind"] == "guiding" for group in groups)
    assert 0 < first / len(groups) <= 0.6
    assert any(not guiding(group)["text"].endswith("?") for group in groups)
    assert any(guiding(group)["text"].endswith("?") for group in groups)
    others = [r["text"] for group in groups for r in group["responses"] if r["kind"] != "guiding"]
    assert sum("?" in text for text in others) / len(others) >= 0.3
