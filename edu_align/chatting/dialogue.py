"""One dialogue between a person and a model, independent of where it is shown."""

from collections.abc import Generator
from dataclasses import dataclass, field

from edu_align.chatting.model import ChatModel, stream
from edu_align.records import Message


@dataclass(frozen=True)
class Question:
    """A person's turn in its dialogue.

    `turns` ends with it and begins with the oldest turn that still fits, `dropped` older ones do not; `prompt` is what
    the model reads, with its system prompt.
    """

    turns: tuple[Message, ...]
    prompt: tuple[Message, ...]
    dropped: int

    def note(self, label: str) -> str:
        """What to tell the person about turns that were left out; "" where none were."""
        if not self.dropped:
            return ""
        return f"the oldest {self.dropped} turns were left out for {label}: the dialogue is longer than its context"


@dataclass
class Dialogue:
    """`turns` of the dialogue so far, without a system prompt; `notes` on the last answer, for the person."""

    model: ChatModel
    turns: tuple[Message, ...] = field(default=())
    notes: list[str] = field(default_factory=list)

    def ask(self, text: str) -> Question:
        """The question `text` after the turns so far. Raises TooLong where it alone does not fit."""
        turns = (*self.turns, Message("user", text))
        prompt, dropped = self.model.prompt(turns)
        return Question(turns[dropped:], prompt, dropped)

    def reply(self, question: Question) -> Generator[str, None, None]:
        """Pieces of the answer. What was written by its end, or until this is closed, joins the dialogue.

        An answer without text leaves the dialogue as it was, so that turns keep alternating.
        """
        pieces: list[str] = []
        self.notes.clear()
        answer = stream(self.model, question.prompt, self.notes)
        try:
            for piece in answer:
                pieces.append(piece)
                yield piece
        finally:
            answer.close()
            written = "".join(pieces).strip()
            if written:
                self.turns = (*question.turns, Message("assistant", written))
