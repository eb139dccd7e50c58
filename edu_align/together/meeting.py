"""Who computes what, when several runs train at once.

Every run comes, in its turn, to a question: a forward pass, the end of a backward pass, or something that is the same
for all of them. When all have asked, equal forward passes are computed as one stack, and a backward pass is held back
until every run is there. So runs that part for a while (one measures, another one does not) are together again a step
later, and what is not equal is computed by the run itself: how the runs are grouped decides about time, never about
numbers.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from edu_align.together.turns import Raised, Turns
from edu_align.together.worlds import World

OWN = "compute it yourself"


@dataclass(frozen=True)
class Question:
    """kind: forward (`value` is seat, adapter, options and conditions), backward, once, done (`value` is the result).

    Questions of one kind with equal keys have one answer.
    """

    kind: str
    key: Hashable
    value: Any = None


class Joint(Exception):
    """A stacked pass failed, for which no run can be blamed: each should be tried on its own."""


class Stacked(Protocol):
    def forward(self, askers: list[Any]) -> list[Any]: ...

    def backward(self) -> None: ...


@dataclass(eq=False)
class Member:
    """One run: its thread, its world, what it asks now and what it is told next."""

    turns: Turns
    world: World
    question: Question | None = None
    answer: Any = None

    def go_on(self) -> None:
        with self.world.entered():
            self.question = self.turns.resume(self.answer)
        self.answer = None

    def tell(self, answer: Any) -> None:
        self.answer, self.question = answer, None


class Meeting:
    """Leads the members until all have ended. `stacked` computes what several ask for."""

    def __init__(self, members: list[Member], stacked: Stacked) -> None:
        self.members = members
        self.stacked = stacked

    def run(self) -> None:
        """Errors: whatever ends this thread (KeyboardInterrupt) ends every member first."""
        try:
            while waiting := self._asked():
                self._answer(waiting)
        except BaseException as error:
            for member in self.members:
                member.turns.stop(error)
            raise

    def _asked(self) -> list[Member]:
        """Every member that has not ended, each with a question."""
        for member in self.members:
            if member.question is None and not member.turns.ended:
                member.go_on()
        return [member for member in self.members if member.question is not None]

    def _answer(self, waiting: list[Member]) -> None:
        for member in _of("done", waiting):
            self._publish(member, waiting)
        for group in _alike("once", waiting):
            group[0].tell(OWN)
        forward = _alike("forward", waiting)
        for group in forward:
            self._forward(group)
        if all(member.question is not None and member.question.kind == "backward" for member in waiting):
            self._backward(waiting)

    def _publish(self, done: Member, waiting: list[Member]) -> None:
        assert done.question is not None
        for member in _of("once", waiting):
            if member.question is not None and member.question.key == done.question.key:
                member.tell(done.question.value)
        done.tell(None)

    def _forward(self, group: list[Member]) -> None:
        if len(group) == 1:
            group[0].tell(OWN)
            return
        questions = [member.question for member in group if member.question is not None]
        answers: Iterable[Any]
        try:
            answers = self.stacked.forward([question.value for question in questions])
        except Exception as error:
            answers = [_failed(error) for _ in group]
        for member, answer in zip(group, answers, strict=True):
            member.tell(answer)

    def _backward(self, group: list[Member]) -> None:
        answers: list[Any] = [None] * len(group)
        try:
            self.stacked.backward()
        except Exception as error:
            answers = [_failed(error) for _ in group]
        for member, answer in zip(group, answers, strict=True):
            member.tell(answer)


def _failed(error: Exception) -> Raised:
    joint = Joint(f"computing several runs at once failed ({type(error).__name__}: {error})")
    joint.__cause__ = error
    return Raised(joint)


def _of(kind: str, members: list[Member]) -> list[Member]:
    return [member for member in members if member.question is not None and member.question.kind == kind]


def _alike(kind: str, members: list[Member]) -> list[list[Member]]:
    """The members that ask a question of this kind, those with equal keys together."""
    groups: dict[Hashable, list[Member]] = {}
    for member in _of(kind, members):
        assert member.question is not None
        groups.setdefault(member.question.key, []).append(member)
    return list(groups.values())
