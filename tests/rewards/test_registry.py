"""Each reward on replies that earn it and replies that do not, its range on any text, and how it is gamed, shown."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edu_align.config.schema import REWARDS as NAMES
from edu_align.config.schema import USUAL_REWARDS
from edu_align.records import Message
from edu_align.rewards.asked import Asked
from edu_align.rewards.human_length import people_write
from edu_align.rewards.registry import REWARDS, RULES, lacking
from edu_align.tutoring import corpus

META = {"answer": "12", "wrong_answer": "7", "place": "the tens column", "wrong_place": "the ones column"}
TURNS = (Message("user", "What is 3 x 4?"), Message("assistant", "Show me."), Message("user", "I say 3 + 4 = 7."))
ASKED = Asked("one", TURNS, "Look at the tens column.", META, (4, 8))


def score(name: str, reply: str, asked: Asked = ASKED) -> float:
    return RULES[name].score(reply, asked)


def test_the_names_are_those_of_the_schema() -> None:
    assert tuple(REWARDS) == NAMES
    assert set(USUAL_REWARDS) <= set(NAMES)


def test_the_table_of_the_docs_says_what_the_rewards_say() -> None:
    page = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
    for name, one in REWARDS.items():
        span = "any number" if one.most == float("inf") else f"{one.least:g} to {one.most:g}"
        assert f"| `{name}` | {span} | {one.says} | {one.needs} | {one.gamed} |" in page
        assert one.says
        assert one.gamed


@pytest.mark.parametrize(
    ("name", "reply", "expected"),
    [
        ("leaks_answer", "It is 12.", 1),
        ("leaks_answer", "It is 12.0!", 1),
        ("leaks_answer", "It is 112.", 0),
        ("leaks_answer", "What does the sign mean?", 0),
        ("asks_question", "What does x mean?", 1),
        ("asks_question", "Think again.", 0),
        ("finds_mistake", "Are you sure about the tens column?", 1),
        ("finds_mistake", "Yes, 7 is right. Well done!", 0),
        ("finds_mistake", "The answer is 12.", 1),
        ("locates_mistake", "Are you sure about the tens column?", 1),
        ("locates_mistake", "Please recheck your work.", 0),
        ("arithmetic_correct", "3 * 4 = 12", 1),
        ("arithmetic_correct", "3 * 4 = 13", 0),
        ("arithmetic_correct", "You wrote 3 + 4 = 7.", 1),
        ("arithmetic_correct", "Hello.", 1),
        ("human_length", "one two three four", 1),
        ("human_length", "one two", 0.5),
        ("human_length", "a " * 16, 0.5),
        ("human_length", "", 0),
        ("student_numbers", "Why do you add 3 and 4 to get 7?", 1),
        ("student_numbers", "Why 3 and 4?", 2 / 3),
        ("student_numbers", "Think of 100.", 0),
        ("student_numbers", "Why?", 0),
    ],
)
def test_what_a_reply_earns(name: str, reply: str, expected: float) -> None:
    assert score(name, reply) == pytest.approx(expected)


GAMES = {
    "asks_question": "Okay?",
    "finds_mistake": "Please recheck your work.",
    "locates_mistake": "The ones column is fine. What about the tens column?",
    "arithmetic_correct": "Nothing to compute.",
    "human_length": "well well well well well",
    "student_numbers": "I say 3 + 4 = 7.",
}


@pytest.mark.parametrize("name", GAMES)
def test_a_reply_that_teaches_nothing_earns_it_too(name: str) -> None:
    """As `Reward.gamed` says: who weighs a reward knows what it does not see."""
    assert score(name, GAMES[name]) == REWARDS[name].most


def test_an_answer_in_words_is_no_leak() -> None:
    assert score("leaks_answer", "It is twelve.") == 0


def test_an_answer_that_stands_in_the_dialogue_is_no_leak() -> None:
    known = Asked("one", (Message("user", "Is it 12?"),), "", META)
    assert score("leaks_answer", "Yes, 12.", known) == 0


def test_a_record_without_metadata_lacks_what_some_rewards_need() -> None:
    bare = Asked("one", (Message("user", "Why is the sky blue?"),), "")
    assert lacking(RULES, bare) == ["leaks_answer", "finds_mistake", "locates_mistake", "student_numbers"]
    assert lacking(["reward_model", "judge"], bare) == ["judge"]
    assert all(REWARDS[name].needs for name in lacking(REWARDS, bare))
    assert lacking(REWARDS, ASKED) == []
    gold = Asked("one", (Message("user", "2 + 3?"),), "", {"gold_answer": "5"})
    assert lacking(RULES, gold) == ["finds_mistake", "locates_mistake"]


@given(st.text(max_size=200), st.sampled_from(list(RULES)))
def test_every_reward_stays_in_its_range(reply: str, name: str) -> None:
    reward = RULES[name]
    assert reward.least <= reward.score(reply, ASKED) <= reward.most


def test_people_write_as_four_of_five_do() -> None:
    assert people_write(["w " * n for n in range(1, 101)]) == (11, 90)
    assert people_write(["one two"]) == (2, 2)
    assert people_write([]) == (1, 1)


def test_guiding_replies_of_the_corpus_earn_more_than_agreeing_ones() -> None:
    means: dict[tuple[str, str], list[float]] = {}
    for group in corpus.load(60, 42):
        asked = Asked(group.id, group.prompt, "", group.meta)
        if lacking(RULES, asked):
            continue
        for reply in group.responses:
            for name in RULES:
                means.setdefault((reply.author, name), []).append(RULES[name].score(reply.text, asked))

    def mean(author: str, name: str) -> Any:
        return sum(means[author, name]) / len(means[author, name])

    for name in ("finds_mistake", "locates_mistake"):
        assert mean("guiding", name) > mean("agreeing", name) + 0.5
    assert mean("guiding", "leaks_answer") == 0
    assert mean("telling", "leaks_answer") > 0.8
