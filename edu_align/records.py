"""The two record types of edu_align, and the pairs derived from them.

`Conversation` is what SFT reads, `ResponseGroup` is what preference training and evaluation read. Both are plain
immutable values: no tokenizer, no tensor, nothing heavy is imported here.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Message:
    """One turn. `train` says whether SFT takes a loss on it; only assistant turns may carry it."""

    role: str
    content: str
    train: bool = False

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"`role` must be one of {', '.join(ROLES)}, got {self.role!r}")
        if self.train and self.role != "assistant":
            raise ValueError(f"`train` may be set on assistant turns only, got it on a {self.role!r} turn")


def without_dialogue(prompt: Iterable[Message]) -> tuple[Message, ...]:
    """The prompt of a reply to nothing: system turns as they are, then one empty user turn.

    The chat template stays, so the model is asked for a reply in its usual form and told nothing about what to.
    """
    return (*(message for message in prompt if message.role == "system"), Message("user", ""))


@dataclass(frozen=True)
class Conversation:
    """Turns of one dialogue.

    `group` is the split key: records that share it (the same maths question, the same session) stay on one side of
    every split. `source` names the data set, `id` the row in it. `meta` is for slicing results, never for training.
    """

    messages: tuple[Message, ...]
    id: str
    source: str
    group: str
    meta: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Response:
    """One reply to a prompt. `score`: higher is better, on the source's own scale; `scores`: per dimension."""

    text: str
    score: float
    scores: dict[str, float] = field(default_factory=dict)
    author: str = ""


@dataclass(frozen=True)
class ResponseGroup:
    """A prompt (turns that end with the user's) and its scored responses, two or more; one where a row holds a label.

    Pairs and labelled replies are derived, never stored.
    """

    prompt: tuple[Message, ...]
    responses: tuple[Response, ...]
    id: str
    source: str
    group: str
    meta: dict[str, str] = field(default_factory=dict)


def unfit_authors(meta: Mapping[str, str]) -> frozenset[str]:
    """Authors whose reply nobody should be taught to give: `unfit_to_learn` of a group's `meta`, comma-separated."""
    return frozenset(filter(None, meta.get("unfit_to_learn", "").split(",")))


@dataclass(frozen=True)
class Pair:
    """Indices into `group.responses`: the response `chosen` scored at least the margin above `rejected`."""

    group: ResponseGroup
    chosen: int
    rejected: int

    @property
    def margin(self) -> float:
        return self.group.responses[self.chosen].score - self.group.responses[self.rejected].score


@dataclass(frozen=True)
class SingleReply:
    """Index into `group.responses`."""

    group: ResponseGroup
    index: int

    @property
    def text(self) -> str:
        return self.group.responses[self.index].text

    @property
    def score(self) -> float:
        return self.group.responses[self.index].score


@dataclass(frozen=True)
class LabelledReply(SingleReply):
    """A reply that is one to learn (`good`) or one to unlearn."""

    good: bool


@dataclass(frozen=True)
class Graded(SingleReply):
    """A reply whose score is learned."""


Record = Conversation | ResponseGroup


def trained_replies(talk: Conversation) -> list[int]:
    """Positions of the trained turns that answer a turn of the user."""
    turns = talk.messages
    return [i for i in range(1, len(turns)) if turns[i].train and turns[i - 1].role == "user"]


def content_of(record: Record) -> tuple[object, ...]:
    """What a record says, apart from where it comes from: equal for two that are the same to a training run."""
    if isinstance(record, Conversation):
        return record.messages
    return (record.prompt, tuple((response.text, response.score) for response in record.responses))


def turn_values(messages: Iterable[Message]) -> list[list[str | bool]]:
    """Turns as JSON values, for a key."""
    return [[turn.role, turn.content, turn.train] for turn in messages]


def is_order(group: ResponseGroup) -> bool:
    """Whether its scores say no more than which of two replies is better: 1 and 0."""
    return [response.score for response in group.responses] in ([1.0, 0.0], [0.0, 1.0])


def pairs_of(group: ResponseGroup, margin: float) -> Iterator[Pair]:
    """Every ordered pair whose score difference is at least `margin` (> 0), in order of the responses.

    Equal texts never make a pair: there is nothing to prefer between them. Two replies scored 1 and 0 are chosen and
    rejected: an order and no scale, so they make a pair at any margin.
    """
    if not margin > 0:
        raise ValueError(f"`margin` must be > 0, got {margin}")
    if is_order(group):
        margin = min(margin, 1.0)
    for i, better in enumerate(group.responses):
        for j, worse in enumerate(group.responses):
            if better.score - worse.score >= margin and better.text != worse.text:
                yield Pair(group, i, j)
