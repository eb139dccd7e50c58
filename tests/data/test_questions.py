"""What makes two questions the same, and what only looks alike."""

from pathlib import Path

import pytest

from edu_align.config.schema import DatasetConfig
from edu_align.data.dataset import load_records
from edu_align.data.questions import LESSON_OPENING, is_greeting, normalise, problem_key, question_key
from edu_align.records import Message
from edu_align.utils.jsonl import as_lines


@pytest.mark.cases("A10")
@pytest.mark.parametrize(
    "questions",
    [
        ("12 + 3", "12 - 3", "1 + 23", "12 * 3", "12 / 3", "12 = 3", "123", "12 3", "-12 + 3", "12 +- 3"),
        ("1/2 > 1/3", "1/2 < 1/3", "1/2 = 1/3", "1/2 ≥ 1/3", "1/2 ≠ 1/3"),
        ("3.5 x 2", "35 x 2", "3,5 x 2", "3 5 x 2", "3:5 x 2"),
        ("Is .5 more?", "Is 5 more?", "Is 50% more?", "Is -5 more?", "Is 5! = 120 more?", "Is 5 = 120 more?"),
        ("2^3", "2³ + 1", "23", "2 3", "2*3"),
        ("10₂", "102"),
        ("(2 + 3) × 4", "2 + 3 × 4", "((2 + 3) × 4)²"),
        ("f(x) = 2x - 1", "f(x) = 2x + 1", "f(x) = 2x 1", "f(x) = 2(x - 1)"),
        ("√16", "16", "|16|", "∛16"),
        ("3½ cups", "31/2 cups", "3 cups"),
        ("三加四等于多少？", "五加六等于多少？", "三加四十等于多少？"),
        ("सात में क्या जोड़ें?", "सात में की जोड़ें?"),
        ("كم يساوي ٣ + ٤؟", "كم يساوي ٣ + ٥؟"),
        ("Сколько будет три?", "Сколько будет семь?"),
        ("△ + 3 = 5", "□ + 3 = 5"),
        ("🍎🍎🍎 = ?", "🍊🍊 = ?"),
        ("?!", "!?"),
    ],
)
def test_different_questions_have_different_keys(questions: tuple[str, ...]) -> None:
    assert len(set(map(problem_key, questions))) == len(questions), [*map(normalise, questions)]


@pytest.mark.cases("A10")
@pytest.mark.parametrize(
    "spellings",
    [
        ("What is 3 + 4?", "what is 3+4", "WHAT  IS\n3 + 4 ?!", "Ｗｈａｔ　ｉｓ　３＋４？", "What\u00a0is \u200b3 + 4"),
        ("3 pens, 4 nuts?", "3 Pens  4 nuts"),
        ("A Teacher's 3-step plan!", "a tutor's 3 step plan"),
        ("12 - 3", "12−3", "12 – 3"),
        ("2 × 3", "2*3", "2·3", "2 ⋅ 3"),
        ("6 ÷ 2 ≤ 3", "6/2 <= 3"),
        ("10² + 1", "10^2 + 1", "10 ** 2 + 1"),
        ("Was ist groß?", "WAS IST GROSS"),
        ("café", "cafe\u0301"),
        ("$1,000 for (5) pens", "1000 for 5 pens"),
        ("- **5** well-known T-shirts", "5 well known t shirts", "* 5 well-known t-shirts."),
        ("He said 5!", "he said: 5."),
        ("三加四，等于多少？", "三加四等于多少"),
    ],
)
def test_spellings_of_one_question_meet(spellings: tuple[str, ...]) -> None:
    assert len(set(map(problem_key, spellings))) == 1, [*map(normalise, spellings)]


@pytest.mark.cases("A10")
def test_greetings_ask_nothing() -> None:
    for text in (
        "hi", "Hello!", "hello, can you help me?", "Hi there, I need help with my homework", "hey 👋", "Good morning",
        "Hallo, kannst du mir helfen?", "Hola, ¿puedes ayudarme?", "你好！", "नमस्ते", "السلام عليكم", "Let's start",
    ):  # fmt: skip
        assert is_greeting(text), text
    for text in ("Hi, what is 2 + 3?", "can you help me with fractions?", "2", "?", "", "你好，三加四等于多少？"):
        assert not is_greeting(text), text


@pytest.mark.cases("A10")
def test_dialogues_that_open_with_a_greeting_are_told_apart_by_what_follows(tmp_path: Path) -> None:
    hello = [{"role": "user", "content": "Hi, can you help me?"}, {"role": "assistant", "content": "Of course."}]
    asks = [f"What is {i} + 3?" for i in range(40)]
    rows = [
        {"messages": [*hello, {"role": "user", "content": ask}, {"role": "assistant", "content": f"Count on {i}."}]}
        for i, ask in enumerate(asks)
    ]
    file = tmp_path / "talks.jsonl"
    file.write_text(as_lines(rows), encoding="utf-8")
    data = load_records(
        DatasetConfig(name="local", sources=["local"], path=str(file)), None, tmp_path, 0, "conversation"
    )
    groups = {record.group for part in data.splits.values() for record in part}
    assert groups == {problem_key(ask) for ask in asks}
    assert all(data.splits.values())
    only = [Message("user", "hi"), Message("assistant", "Hello!")]
    other = [Message("user", "hi"), Message("assistant", "What is it?")]
    assert question_key(only) != question_key(other)


@pytest.mark.cases("A10", "A11")
def test_lessons_that_a_tutor_opens_alike_are_told_apart_by_what_follows() -> None:
    def key(first: str, said: str) -> str:
        turns = (Message("user", f"{LESSON_OPENING}."), Message("assistant", first), Message("user", said))
        return question_key(turns)

    for first in ("Hello! I am your tutor. What shall we look at?", "Willkommen zur Stunde. Was lernst du heute?"):
        assert key(first, "fractions") != key(first, "decimals")
    assert key("Hello! What is 3 x 4?", "12") == key("Hello! What is 3 x 4?", "7")
    assert key("What is a verb?", "a word") == key("What is a verb?", "to run")


@pytest.mark.cases("A10")
def test_behind_our_opening_the_tutors_question_counts() -> None:
    def key(*tutor: str) -> str:
        turns = [Message("user", f"{LESSON_OPENING}.")]
        for text in tutor:
            turns += [Message("assistant", text), Message("user", "7")]
        return question_key(turns)

    assert key("What is 3 + 4?") == key("what is 3+4", "And 5 + 6?") != key("What is 3 - 4?")
    assert key("Hello, are you ready?", "What is 3 + 4?") == key("Hello! Are you ready?", "Why?") == problem_key("7")
