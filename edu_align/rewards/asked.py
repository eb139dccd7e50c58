"""What a reward knows of a reply besides its text: the dialogue that it answers and what the data says of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from edu_align.records import Message

CORPUS = ("answer", "wrong_answer", "place", "wrong_place")  # in the meta of the built-in corpus


@dataclass(frozen=True)
class Asked:
    """A dialogue that ends with the student. `person`: the reply that the data has here.

    `words`: from how few to how many words people reply with in this data (see `human_length`).
    """

    id: str
    turns: tuple[Message, ...]
    person: str
    meta: Mapping[str, str] = field(default_factory=dict)
    words: tuple[int, int] = (1, 1)

    @cached_property
    def text(self) -> str:
        """The whole dialogue, a turn a line."""
        return "\n".join(turn.content for turn in self.turns)

    @property
    def student(self) -> str:
        """What the student said last."""
        return self.turns[-1].content

    @property
    def gold(self) -> str:
        """The final answer of the problem, "" where nobody wrote it down."""
        return self.meta.get("answer") or self.meta.get("gold_answer") or ""

    @property
    def of_corpus(self) -> bool:
        """Whether it is known where the student's mistake lies."""
        return all(self.meta.get(name) for name in CORPUS)


@dataclass(frozen=True)
class Reward:
    """`score`: the reward of a reply, from `least` to `most`. `applies`: whether a dialogue has what it `needs`.

    `gamed`: how a model gets it without teaching better.
    """

    score: Callable[[str, Asked], float]
    says: str
    gamed: str
    needs: str = ""
    applies: Callable[[Asked], bool] = lambda asked: True
    least: float = 0.0
    most: float = 1.0


# The rewards of replies, each to its dialogue.
Scoring = Callable[[Sequence[str], Sequence[Asked]], list[float]]
