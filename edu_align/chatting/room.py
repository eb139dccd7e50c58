"""What the page does with what people say and vote; it knows nothing of how the page is drawn."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from edu_align.chatting.stream import stream
from edu_align.chatting.tutor import Voice
from edu_align.chatting.votes import Answer, append_vote, vote_row
from edu_align.data.records import Message
from edu_align.errors import UserError

MAX_MESSAGE = 4000  # characters of one message


@dataclass(frozen=True)
class Round:
    """A question and its answers. `order`: who answers, as indices of the voices from left to right.

    `turns` end with the question and have no system prompt; `prompts` are what each voice reads; `dropped` of the
    oldest turns no longer fit. `texts` stay empty until the answers are whole.
    """

    turns: tuple[Message, ...]
    prompts: tuple[tuple[Message, ...], ...]
    order: tuple[int, ...]
    dropped: int
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seat:
    """One visitor: the dialogue so far, and the answers that can be voted on. Plain values, kept by the server."""

    turns: tuple[Message, ...] = ()
    open: Round | None = None


class Room:
    """Two voices, or one, and everyone who talks to them. Two answer the same dialogue, so that a vote compares."""

    def __init__(self, voices: Sequence[Voice], votes: Path, seed: int) -> None:
        self.voices = tuple(voices)
        self.votes = votes
        self._random = Random(seed)

    def ask(self, seat: Seat, text: str) -> Round:
        """The next round. Errors, with numbers only in their text: an empty, a too long message."""
        text = text.strip()
        if not text:
            raise UserError("The message is empty.")
        if len(text) > MAX_MESSAGE:
            raise UserError(f"The message has {len(text)} characters, and at most {MAX_MESSAGE} are taken. Shorten it.")
        whole = turns = (*seat.turns, Message("user", text))
        for voice in self.voices:
            turns = turns[voice.prompt(turns)[1] :]
        order = list(range(len(self.voices)))
        self._random.shuffle(order)
        prompts = tuple(self.voices[i].prompt(turns)[0] for i in order)
        return Round(turns, prompts, tuple(order), len(whole) - len(turns))

    def answers(self, asked: Round) -> Generator[tuple[str, ...], None, None]:
        """The texts from left to right as they grow, the left one first."""
        texts = ["" for _ in asked.order]
        for place, (voice, prompt) in enumerate(zip(asked.order, asked.prompts, strict=True)):
            with closing(stream(self.voices[voice], prompt)) as pieces:
                for piece in pieces:
                    texts[place] += piece
                    yield tuple(texts)

    def answered(self, seat: Seat, asked: Round, texts: Sequence[str]) -> Seat:
        """The visitor after whole answers. The left one goes on in the dialogue unless a vote prefers the right one."""
        done = replace(asked, texts=tuple(text.strip() for text in texts))
        if not any(done.texts):
            return replace(seat, open=None)
        return Seat(_continued(done, 0), done)

    def vote(self, seat: Seat, vote: str) -> Seat:
        """Keep a vote on the open answers; nothing happens where none are open."""
        asked = seat.open
        if asked is None:
            return seat
        answers = [Answer(self.voices[i], text) for i, text in zip(asked.order, asked.texts, strict=True)]
        same = len(set(asked.prompts)) == 1
        append_vote(self.votes, vote_row(vote, asked.prompts[0] if same else asked.turns, answers))
        return Seat(_continued(asked, 1 if vote == "right" else 0))


def _continued(asked: Round, place: int) -> tuple[Message, ...]:
    """The dialogue after the answer at `place`, or after the other one where that is empty."""
    text = asked.texts[place] or next(text for text in asked.texts if text)
    return (*asked.turns, Message("assistant", text))
