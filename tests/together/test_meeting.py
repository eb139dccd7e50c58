"""Turns and meetings without a model: nobody waits for ever, whatever a thread does."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from edu_align.together.meeting import OWN, Joint, Meeting, Member, Question
from edu_align.together.turns import Turns
from edu_align.together.worlds import World


class Sums:
    """Answers forward questions with the sum of all that were asked together."""

    def __init__(self) -> None:
        self.forwards: list[list[int]] = []
        self.backwards = 0

    def forward(self, askers: list[int]) -> list[int]:
        self.forwards.append(askers)
        if sum(askers) > 100:
            raise MemoryError("too many")
        return [sum(askers)] * len(askers)

    def backward(self) -> None:
        self.backwards += 1


def meet(*works: Callable[[Turns], Any]) -> tuple[Sums, list[Turns]]:
    """Run the works to their end, in a thread of its own that is given ten seconds."""
    members, said = [], {}  # type: ignore[var-annotated]
    for number, work in enumerate(works):
        turns: Turns = Turns(lambda work=work, number=number: work(members[number].turns), str(number))
        members.append(Member(turns, World(number, said)))
    sums = Sums()
    ended: list[BaseException | None] = []

    def lead() -> None:
        try:
            Meeting(members, sums).run()
            ended.append(None)
        except BaseException as error:
            ended.append(error)

    leader = threading.Thread(target=lead, daemon=True)
    for member in members:
        member.turns._leader = leader
    leader.start()
    leader.join(10)
    assert not leader.is_alive(), "still waiting"
    if ended[0] is not None:
        raise ended[0]
    return sums, [member.turns for member in members]


def steps(*values: int) -> Callable[[Turns], list[Any]]:
    def work(turns: Turns) -> list[Any]:
        seen = []
        for value in values:
            answer = turns.ask(Question("forward", "batch", value))
            seen.append(value if answer is OWN else answer)
            turns.ask(Question("backward", None))
        return seen

    return work


def test_equal_questions_have_one_answer_and_who_is_done_leaves() -> None:
    sums, (one, two) = meet(steps(1, 2, 3), steps(10, 20))
    assert one.result == [11, 22, 3]
    assert two.result == [11, 22]
    assert sums.forwards == [[1, 10], [2, 20]]
    assert sums.backwards == 3


def test_a_thread_that_asks_more_holds_the_others_back_until_it_is_there() -> None:
    def looks_first(turns: Turns) -> Any:
        assert turns.ask(Question("forward", "another batch", 5)) is OWN
        return steps(1, 2)(turns)

    sums, (one, two) = meet(looks_first, steps(10, 20))
    assert one.result == [1, 22]
    assert two.result == [10, 22]
    assert sums.forwards == [[2, 20]]


def test_what_is_the_same_for_all_is_computed_by_one_and_by_the_next_where_it_fails() -> None:
    tried = []

    def once(number: int, fails: bool) -> Callable[[Turns], Any]:
        def work(turns: Turns) -> Any:
            answer = turns.ask(Question("once", "before"))
            if answer is not OWN:
                return answer
            tried.append(number)
            if fails:
                raise OSError("disk")
            turns.ask(Question("done", "before", f"by {number}"))
            return "own"

        return work

    _, (one, two, three) = meet(once(0, True), once(1, False), once(2, False))
    assert tried == [0, 1]
    assert isinstance(one.error, OSError)
    assert (two.result, three.result) == ("own", "by 1")


def test_a_thread_that_ends_or_raises_leaves_the_others_alone() -> None:
    def raises(turns: Turns) -> None:
        turns.ask(Question("forward", "batch", 7))
        raise ValueError("NaN")

    _, (one, two, three) = meet(steps(1, 2), raises, lambda turns: "nothing to do")
    assert one.result == [8, 2]
    assert isinstance(two.error, ValueError)
    assert three.result == "nothing to do"


def test_a_stack_that_fails_is_told_to_all_of_it() -> None:
    _, (one, two) = meet(steps(60), steps(70))
    for turns in (one, two):
        assert isinstance(turns.error, Joint)
        assert "MemoryError: too many" in str(turns.error)


def test_an_interruption_ends_every_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Sums, askers: list[int]) -> list[int]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Sums, "forward", interrupted)
    seen: list[str] = []

    def work(turns: Turns) -> None:
        try:
            steps(1)(turns)
        except KeyboardInterrupt:
            seen.append("interrupted")
            raise

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        meet(work, work)
    assert seen == ["interrupted", "interrupted"]
    assert time.monotonic() - began < 5
