"""A chat in the terminal, or through a pipe: one line in, one answer out; two answers side by side if it is wide."""

import shutil
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from edu_align.chatting.model import ChatModel, TooLong, stream
from edu_align.chatting.text import printable
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


MIN_WIDTH = 90  # characters; narrower columns are hard to read


def side_by_side(answers: Sequence[tuple[str, Iterable[str]]], console: Any = None) -> None:
    """Show `(label, pieces)` in a column each. The pieces are drawn one answer after the other, as they come.

    `console` is rich's, for a terminal other than stdout.
    """
    from rich.console import Console
    from rich.live import Live

    written = ["" for _ in answers]
    labels = [label for label, _ in answers]
    with Live(console=console or Console(highlight=False), auto_refresh=False, vertical_overflow="crop") as live:
        for i, (_, pieces) in enumerate(answers):
            for piece in pieces:
                written[i] += printable(piece)
                live.update(_table(labels, written), refresh=True)
        live.update(_table(labels, written), refresh=True)


def _table(labels: Sequence[str], texts: Sequence[str]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(expand=True, show_lines=False)
    for label in labels:
        table.add_column(Text(label), ratio=1, overflow="fold")
    table.add_row(*[Text(text.strip()) for text in texts])  # Text: brackets in an answer are no markup
    return table


COMMANDS = {
    "/reset": "forget the dialogue and begin anew",
    "/quit": "end (so does the end of the input)",
    "/help": "list the commands",
}


def note(text: str) -> None:
    """A line about the chat rather than of it; stdout holds the dialogue only."""
    print(f"({text})", file=sys.stderr, flush=True)


def converse(models: Sequence[ChatModel]) -> None:
    """Chat until /quit, the end of the input, or Ctrl-C at the prompt. Ctrl-C during an answer stops the answer.

    Several models hold a dialogue each and answer in turn.
    """
    note(f"{' and '.join(f'{model.label} on {model.base}' for model in models)}; /help lists the commands")
    dialogues = [Dialogue(model) for model in models]
    for line in _lines():
        if line == "/quit":
            return
        if line == "/reset":
            dialogues = [Dialogue(model) for model in models]
            note("the dialogue begins anew")
        elif line == "/help":
            note("; ".join(f"{name}: {text}" for name, text in COMMANDS.items()) + "; Ctrl-C stops an answer")
        elif line.startswith("/") and line[1:].isalpha():
            note(f"{line} is no command; there are {', '.join(COMMANDS)}")
        else:
            _round(dialogues, line)


def _lines() -> Iterator[str]:
    """The person's lines, without blank ones."""
    if sys.stdin is None:  # closed (`<&-`): nothing will ever come
        return
    interactive = sys.stdin.isatty()
    while True:
        try:
            line = input("you: ") if interactive else sys.stdin.readline()
        except (EOFError, KeyboardInterrupt):
            if interactive:
                print()
            return
        if not interactive and not line:
            return
        if line.strip():
            yield line.strip()


def _round(dialogues: Sequence[Dialogue], line: str) -> None:
    """One question and the answers to it."""
    try:
        questions = [dialogue.ask(line) for dialogue in dialogues]
    except TooLong as error:
        note(str(error))
        return
    answers = []
    for dialogue, question in zip(dialogues, questions, strict=True):
        if question.dropped:
            note(question.note(dialogue.model.label))
        answers.append((dialogue.model.label, dialogue.reply(question)))
    try:
        if len(dialogues) > 1 and sys.stdout.isatty() and shutil.get_terminal_size().columns >= MIN_WIDTH:
            side_by_side(answers)
        else:
            _one_after_the_other(answers)
    except KeyboardInterrupt:
        print(flush=True)
        note("stopped; Ctrl-C again ends the chat")
    finally:
        for _, pieces in answers:
            pieces.close()
    for text in (text for dialogue in dialogues for text in dialogue.notes):
        note(text)


def _one_after_the_other(answers: Sequence[tuple[str, Iterator[str]]]) -> None:
    for label, pieces in answers:
        print(f"{label}: ", end="", flush=True)
        for piece in pieces:
            print(printable(piece), end="", flush=True)
        print(flush=True)
