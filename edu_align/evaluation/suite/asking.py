"""What the metrics are going to ask of a model, gathered before anything is computed.

A dialogue is read once for the replies that are scored after it and the one that is written, whichever metrics ask.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from edu_align.evaluation.suite.data import Settings, SuiteData
from edu_align.evaluation.suite.results import MetricResult, Scored, Subject
from edu_align.models.chat_template import as_chat
from edu_align.records import Message
from edu_align.utils.hashing import digest

Rows = Sequence[tuple[Sequence[Message], Sequence[str]]]  # a dialogue, and replies to score after it
Prompts = Sequence[tuple[Sequence[Message], int]]  # a dialogue, and the most tokens of the reply to write
Metric = Callable[[Subject, SuiteData, Settings], MetricResult]


def score_key(prompt: Sequence[Message], reply: str) -> str:
    """What the score of this reply is found by."""
    return digest(as_chat(prompt), reply)


def reply_key(prompt: Sequence[Message], max_new_tokens: int) -> str:
    """What the model's own reply is found by."""
    return digest(as_chat(prompt), max_new_tokens)


@dataclass
class Dialogue:
    """A prompt, the replies to score after it, and the most tokens of a reply to write, each by its key."""

    prompt: Sequence[Message]
    scored: dict[str, str] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)


def dialogues(rows: Rows, prompts: Prompts, known: Iterable[str]) -> list[Dialogue]:
    """All that is not `known`, a dialogue each."""
    found: dict[str, Dialogue] = {}
    for prompt, replies in rows:
        one = found.setdefault(digest(as_chat(prompt)), Dialogue(prompt))
        one.scored |= {score_key(prompt, reply): reply for reply in replies}
    for prompt, most in prompts:
        found.setdefault(digest(as_chat(prompt)), Dialogue(prompt)).asked[reply_key(prompt, most)] = most
    known = frozenset(known)
    for one in found.values():
        for keys in (one.scored, one.asked):
            for key in known & keys.keys():
                del keys[key]
    return [one for one in found.values() if one.scored or one.asked]


class Model(Protocol):
    """A model that can be asked, see `subject.LoadedSubject`."""

    label: str

    @property
    def tokenizer(self) -> Any: ...
    @property
    def reference(self) -> "Model | None": ...
    @property
    def first(self) -> "Model | None": ...
    @property
    def base(self) -> "Model": ...
    def prepare(self, rows: Rows, prompts: Prompts) -> None: ...
    def score(self, rows: Rows) -> list[list[Scored]]: ...
    def rewards(self, rows: Rows) -> list[list[float]] | None: ...
    def replies(self, prompts: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]: ...
    def release(self) -> None: ...


class Asked:
    """A `results.Subject` that computes nothing and remembers what it and the models behind it are asked."""

    def __init__(self, model: Model) -> None:
        self.model, self.label = model, model.label
        self.rows: dict[int, list[Any]] = {}
        self.prompts: dict[int, list[tuple[Sequence[Message], int]]] = {}
        self.models: dict[int, Model] = {}

    @property
    def tokenizer(self) -> Any:
        return self.model.tokenizer

    def score(self, rows: Rows) -> list[list[Scored]]:
        self.model.score([])  # a reward model has no likelihoods, and says so
        return self._note(self.model, rows)

    def rewards(self, rows: Rows) -> list[list[float]] | None:
        if self.model.rewards([]) is None:
            return None
        return [[float(place) for place, _ in enumerate(row)] for row in self._note(self.model, rows)]

    def reference_score(self, rows: Rows) -> list[list[Scored]] | None:
        return self._note(self.model.reference, rows) if self.model.reference else None

    def base_score(self, rows: Rows) -> list[list[Scored]] | None:
        return self._note(self.model.first, rows) if self.model.first else None

    def replies(self, prompts: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
        return self._silent(self.model, prompts, max_new_tokens)

    def base_replies(self, prompts: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
        return self._silent(self.model.base, prompts, max_new_tokens)

    def base_states(self, rows: Rows) -> list[Any]:
        raise LookupError("states are computed when the metric is measured")

    def _silent(self, model: Model, prompts: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
        """Nothing but "": what a metric makes of a reply, such as the next turn of a dialogue, it asks later."""
        model.replies([], max_new_tokens)
        self.models[id(model)] = model
        self.prompts.setdefault(id(model), []).extend((prompt, max_new_tokens) for prompt in prompts)
        return [""] * len(prompts)

    def _note(self, model: Model, rows: Rows) -> list[list[Scored]]:
        self.models[id(model)] = model
        self.rows.setdefault(id(model), []).extend(rows)
        return [[(-1.0, 1)] * len(replies) for _, replies in rows]


def prepare(model: Model, metrics: Iterable[Metric], data: SuiteData, settings: Settings) -> None:
    """Let `model`, and those that it is compared with, compute what `metrics` will ask.

    A metric that cannot go on without real answers asks the rest when it is measured.
    """
    asked = Asked(model)
    for metric in metrics:
        try:
            metric(asked, data, settings)
        except Exception:  # it is raised again, or not, when the metric is measured
            continue
    for key, other in asked.models.items():
        if other is not model:
            other.prepare(asked.rows.get(key, []), asked.prompts.get(key, []))
            other.release()
    model.prepare(asked.rows.get(id(model), []), asked.prompts.get(id(model), []))
