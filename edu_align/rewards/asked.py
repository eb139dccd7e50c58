"""What a reward knows of a reply besides its text: the dialogue that it answers and what the data says of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from edu_align.config.schema import Config
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


# The rewards of replies, each to its dialogue.
Scoring = Callable[[Sequence[str], Sequence[Asked]], list[float]]


@dataclass(frozen=True, kw_only=True)
class Reward:
    """A reward from `least` to `most`. `applies`: whether a dialogue has what it `needs`.

    `gamed`: how a model gets it without teaching better.
    """

    says: str
    gamed: str
    needs: str = ""
    applies: Callable[[Asked], bool] = lambda asked: True
    least: float = 0.0
    most: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Rule(Reward):
    """`score`: the reward of a reply, by its text and its dialogue alone."""

    score: Callable[[str, Asked], float]


@dataclass(frozen=True)
class Sources:
    """What a reward of a model's takes: the config whose `hardware`, `evaluation.judge` and `outputs_root` count, and
    the run of a reward model.
    """

    config: Config
    reward_run: str | None = None


@dataclass(frozen=True, kw_only=True)
class ModelReward(Reward):
    """`open`: makes it ready, so that it scores replies until it is let go. `identity`: what it is, for a run's id.

    Both raise UserError where it is not there.
    """

    open: Callable[[Sources], Scoring]
    identity: Callable[[Sources], Any]
