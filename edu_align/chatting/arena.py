"""Visitors chat with one model, or compare two and vote. How the page looks is not decided here.

Votes are kept in a file that preference training reads. One JSON object a line, in the `responses` shape of
`dataset=local`:

    {"vote": "left", "prompt": [...], "responses": [{"text": ..., "score": 1, "author": "my_run"}, {..., "score": 0}],
     "unranked": [], "left": "my_run", ...}

A tie, two bad answers and an opinion on a single answer are kept too, but give no pair: the answers of the first two
stand under `unranked` and `responses` is empty, the third has one response. The loader leaves all of them out and
counts them as "fewer than two replies", in SFT as well, where a bad answer must not become an example.
"""

import fcntl
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

from edu_align.chatting.model import ChatModel, stream
from edu_align.models.chat_template import as_chat
from edu_align.records import Message
from edu_align.utils.errors import UserError
from edu_align.utils.jsonl import append_synced

PAIR_VOTES = ("left", "right", "tie", "both_bad")
SINGLE_VOTES = ("good", "bad")


@dataclass(frozen=True)
class Answer:
    """A text and the model that wrote it."""

    model: ChatModel
    text: str


def vote_row(vote: str, prompt: Sequence[Message], answers: Sequence[Answer]) -> dict[str, Any]:
    """The row of a vote on `answers`, which stand from left to right.

    `prompt` is what they answer, as it was read. Raises ValueError for a vote that does not fit their number.
    """
    if vote not in (PAIR_VOTES if len(answers) == 2 else SINGLE_VOTES):
        raise ValueError(f"{vote!r} is no vote on {len(answers)} answers")
    shown = [{"text": answer.text, "author": answer.model.label} for answer in answers]
    best = {"left": 0, "right": 1, "good": 0}.get(vote)
    unranked = vote in ("tie", "both_bad")
    scored = [{**entry, "score": int(i == best)} for i, entry in enumerate(shown)]
    return {
        "id": uuid4().hex,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "vote": vote,
        "prompt": as_chat(prompt),
        "responses": [] if unranked else scored,
        "unranked": shown if unranked else [],
        "left": shown[0]["author"],
        "generation": asdict(answers[0].model.settings),
        "base_models": {answer.model.label: answer.model.base for answer in answers},
    }


def check_writable(path: Path) -> None:
    """Create the file and its folder where they are missing. Errors: a place that cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab"):
            pass
    except OSError as error:
        raise UserError(f"`votes={path}` cannot be written ({error.strerror}). Choose another file.") from None
    if path.suffix != ".jsonl":
        raise UserError(f"`votes` must end with .jsonl, got {str(path)!r}.")


def append_vote(path: Path, row: dict[str, Any]) -> None:
    """Append one line under a lock that other writers hold too, and have it on the disk."""
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        append_synced(file.fileno(), [row])


MAX_MESSAGE = 4000  # characters of one message


@dataclass(frozen=True)
class Round:
    """A question and its answers. `order`: which models answer, as indices, from left to right.

    `turns` end with the question and have no system prompt; `prompts` are the models' inputs in that order; `dropped`
    of the oldest turns no longer fit. `texts` stay empty until the answers are complete.
    """

    turns: tuple[Message, ...]
    prompts: tuple[tuple[Message, ...], ...]
    order: tuple[int, ...]
    dropped: int
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Visitor:
    """One visitor: the dialogue so far, and the answers that can be voted on. Plain values, kept by the server."""

    turns: tuple[Message, ...] = ()
    open: Round | None = None


class Arena:
    """One model or two, and all visitors. Two models answer the same dialogue, so that a vote compares them."""

    def __init__(self, models: Sequence[ChatModel], votes: Path, seed: int) -> None:
        self.models = tuple(models)
        self.votes = votes
        self._random = Random(seed)

    def ask(self, visitor: Visitor, text: str) -> Round:
        """The next round. Errors, with numbers only in their text: an empty, a too long message."""
        text = text.strip()
        if not text:
            raise UserError("The message is empty.")
        if len(text) > MAX_MESSAGE:
            raise UserError(f"The message has {len(text)} characters, and at most {MAX_MESSAGE} are taken. Shorten it.")
        every = turns = (*visitor.turns, Message("user", text))
        for model in self.models:
            turns = turns[model.prompt(turns)[1] :]
        order = list(range(len(self.models)))
        self._random.shuffle(order)
        prompts = tuple(self.models[i].prompt(turns)[0] for i in order)
        return Round(turns, prompts, tuple(order), len(every) - len(turns))

    def labels(self, current: Round) -> list[str]:
        """Who answered, from left to right."""
        return [self.models[place].label for place in current.order]

    def answers(self, current: Round, notes: list[str] | None = None) -> Generator[tuple[str, ...], None, None]:
        """The texts from left to right as they grow, the left one first. `notes`: see `chatting.model.stream`."""
        texts = ["" for _ in current.order]
        for place, (model, prompt) in enumerate(zip(current.order, current.prompts, strict=True)):
            with closing(stream(self.models[model], prompt, notes)) as pieces:
                for piece in pieces:
                    texts[place] += piece
                    yield tuple(texts)

    def finish(self, visitor: Visitor, current: Round, texts: Sequence[str]) -> Visitor:
        """The visitor after complete answers. The left one continues the dialogue unless a vote prefers the other."""
        done = replace(current, texts=tuple(text.strip() for text in texts))
        if not any(done.texts):
            return replace(visitor, open=None)
        return Visitor(_continue_with(done, 0), done)

    def vote(self, visitor: Visitor, vote: str) -> Visitor:
        """Keep a vote on the open answers; nothing happens where none are open."""
        current = visitor.open
        if current is None:
            return visitor
        answers = [Answer(self.models[i], text) for i, text in zip(current.order, current.texts, strict=True)]
        same = len(set(current.prompts)) == 1
        append_vote(self.votes, vote_row(vote, current.prompts[0] if same else current.turns, answers))
        return Visitor(_continue_with(current, 1 if vote == "right" else 0))


def _continue_with(current: Round, place: int) -> tuple[Message, ...]:
    """The dialogue after the answer at `place`, or after the other one where that is empty."""
    text = current.texts[place] or next(text for text in current.texts if text)
    return (*current.turns, Message("assistant", text))
