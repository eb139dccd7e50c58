"""Constructed replies: what each kind takes, what it leaves, and when there is none."""

from typing import Any

import pytest

from edu_align.data.negatives import MARKS, Place, Pool, earlier, elsewhere, kind_of, other_numbers, same_question
from edu_align.records import Message, Response, ResponseGroup
from edu_align.tutoring.text import numbers


def group(*said: str, reply: str = "Look again.", name: str = "g", **meta: str) -> ResponseGroup:
    """A dialogue that the student opens, with a good reply of author A."""
    prompt = tuple(Message("assistant" if i % 2 else "user", text) for i, text in enumerate(said))
    replies = (Response(reply, 8.0, author="A"), Response("No.", 0.0, author="B"))
    return ResponseGroup(prompt, replies, name, "s", name, meta)


def place(one: ResponseGroup, *used: str, salt: tuple[int, int] = (0, 0)) -> Place:
    return Place(one, one.responses[0], frozenset(used), salt)


def pool(*groups: ResponseGroup) -> Pool:
    made = Pool()
    for each in groups:
        made.add(each, [0])
    return made


def changed(reply: str, *said: str, salt: tuple[int, int] = (0, 0), **meta: str) -> Any:
    found = other_numbers(place(group(*said, reply=reply, **meta), salt=salt), Pool())
    return found and found.text


def test_earlier_is_what_the_tutor_said_before() -> None:
    one = group("3 + 4?", "Draw it.", "Done.", "And now?", "8")
    drawn = {earlier(place(one, salt=(seed, 0)), Pool()).text for seed in range(20)}  # type: ignore[union-attr]
    assert drawn == {"Draw it.", "And now?"}
    assert earlier(place(one, "Draw it."), Pool()) == Response("And now?", 0.0, author="Tutor")
    assert earlier(place(one, "Draw it.", "And now?"), Pool()) is None
    repeated = group("3 + 4?", "Look again.", "Done.")
    assert earlier(place(repeated), Pool()) is None, "the good reply, said a second time"
    assert earlier(place(group("3 + 4?")), Pool()) is None


def test_numbers_of_the_student_are_changed_and_nothing_else() -> None:
    said = "I had 12 nuts for $1,250 and 0.5 kg."
    for seed in range(30):
        text = changed("You said 12, not 9: 12 nuts for $1,250, 0.5 kg, 1/2 of it.", said, salt=(seed, 0))
        first, nine, again, price, weight, half = numbers(text)
        assert (nine, half) == (9, numbers("1/2")[0]), "not the student's, and a fraction"
        assert first == again
        assert {first, price, weight}.isdisjoint(numbers(said + " 9"))
        assert 6 <= first <= 21
        assert 625 <= price <= 1875
        assert 0 < weight <= 1.5
        assert text == f"You said {first}, not 9: {first} nuts for ${int(price):,}, {float(weight):.1f} kg, 1/2 of it."
    assert len({changed("Why 12?", said, salt=(seed, 0)) for seed in range(30)}) > 5
    assert changed("Why 12?", said) == changed("Why 12?", said)


@pytest.mark.parametrize(
    ("reply", "said"),
    [("Look again.", ["I got 12."]), ("Is it 5?", ["I got 12."]), ("Is it 5?", ["I got 12.", "Why 5?", "Yes."])],
)
def test_without_a_number_of_the_student_there_is_none(reply: str, said: list[str]) -> None:
    assert changed(reply, *said) is None


def test_no_number_of_the_dialogue_nor_the_answer_takes_its_place() -> None:
    most = " ".join(map(str, [*range(1, 7), *range(8, 13)]))
    assert changed("Why 3?", f"{most} are there.") == "Why 7?"
    assert changed("Why 3?", f"{most} are there.", gold_answer="7") is None


def test_same_question_is_another_attempt() -> None:
    here = group("2 + 2?\n5", name="a", problem="2 + 2?")
    on = group("2 + 2?\n5", "Why?", "So.", reply="Later.", name="b", problem="2 + 2?")
    attempt = group("2 + 2?\n6", reply="Count on.", name="c", problem="2 + 2?")
    other = group("3 + 3?\n5", reply="Far off.", name="d", problem="3 + 3?")
    everything = pool(here, on, attempt, other)
    assert same_question(place(here), everything) == Response("Count on.", 0.0, author="A")
    assert same_question(place(here), pool(here, on, other)) is None, "the same attempt, and another question"
    assert same_question(place(group("2 + 2?\n5")), pool(group("2 + 2?\n6", reply="Count on."))) is None
    assert elsewhere(place(other), pool(other)) is None


def test_a_constructed_reply_is_known_by_its_author() -> None:
    assert {kind: kind_of("A" + mark) for kind, mark in MARKS.items()} == {kind: kind for kind in MARKS}
    assert kind_of("A") == kind_of("") == ""
