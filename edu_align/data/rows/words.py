"""The names that people give to roles, to what a turn holds and to columns. All are compared by `plain`.

And what is told of rows that are left out, and of what in rows is not read.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from edu_align.utils.errors import UserError
from edu_align.utils.words import shorten, shorten_list

USER = "user human student pupil learner prompter questioner schüler schülerin schueler schuelerin lernende lernender"
ASSISTANT = (
    "assistant gpt model bot chatbot ai chatgpt chat-gpt gpt-3.5 gpt-4 gpt4 claude bing bard tutor tutorin teacher "
    "instructor coach lehrer lehrerin lehrkraft"
)
ROLES = {
    name: role
    for role, names in (("user", USER), ("assistant", ASSISTANT), ("system", "system developer"))
    for name in names.replace("-", "_").split()
}
TOOLS = ("tool", "tools", "function", "function_call", "function_response", "observation", "ipython", "environment")

WHO = ("role", "from", "speaker", "sender", "author", "participant", "who", "user", "rolle", "sprecher")
SAID = ("content", "value", "text", "message", "utterance", "parts", "inhalt")
FLAGS = ("loss", "weight", "train", "trainable", "loss_weight")  # whether a turn is trained on

# Ours -> the names that it goes by, the first that a row has is read.
COLUMNS = {
    "messages": ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "chat"),
    "prompt": ("prompt", "instruction", "question", "query", "problem", "input"),
    "completion": ("completion", "output", "answer", "response", "reply", "solution"),
    "chosen": ("chosen", "preferred_output"),
    "rejected": ("rejected", "non_preferred_output"),
    "responses": ("responses", "completions"),
    "scores": ("scores", "ratings"),
    "system": ("system", "system_prompt", "system_message"),
    "history": ("history",),
    "text": ("text", "transcript"),
    "label": ("label", "vote", "thumb", "thumbs", "feedback", "kto_tag"),
    "score": ("score", "rating", "grade"),
    "unranked": ("unranked",),
    "gold_answer": ("gold_answer", "correct_answer", "final_answer"),  # nobody trains on it: what a reply may leak
}
EXPLICIT = ("id", "group", "split")  # read only when `dataset.columns` names them: such columns often mean other things
NAMES = tuple(dict.fromkeys([*(name for names in COLUMNS.values() for name in names), *EXPLICIT]))


_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """A name as it is compared: without case, outer spaces, and the difference of `-`, space, `_` and camel case."""
    apart = _CAMEL.sub(" ", name)
    return "_".join(apart.casefold().replace("-", " ").replace("_", " ").split())


def known(data: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The key of `data` that goes by the first of these names that is there; None where none is."""
    for name in names:
        if name in data:
            return name
    keys = {plain(key): key for key in reversed(list(data)) if isinstance(key, str)}
    return next((keys[name] for name in names if name in keys), None)


@dataclass(frozen=True)
class LeftOut:
    """A row that gives no record. Rows are counted by `reason`; `place` says where, and what stood there."""

    reason: str
    place: str = ""


class RowError(UserError):
    """A row that cannot be used. A reader of files counts it as `left_out` and goes on."""

    def __init__(self, reason: str, place: str, more: str = "") -> None:
        super().__init__(f"{place}: {reason}{f' ({more})' if more else ''}.")
        self.left_out = LeftOut(reason, f"{place}: {more}" if more else place)


SHOWN = 12  # names in one line


@dataclass
class Tally:
    """`shapes`: rows of each. `read_as`: (their column, ours). `columns`, `keys`: what was not read, by its name.

    `said`: whole sentences with the number of rows or turns that they hold for.
    """

    shapes: Counter[str] = field(default_factory=Counter)
    read_as: Counter[tuple[str, str]] = field(default_factory=Counter)
    columns: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)

    def note(self, forced: bool) -> str:
        """The shapes, for the line of the file."""
        if not self.shapes:
            return ""
        if len(self.shapes) == 1:
            return f"format {next(iter(self.shapes))}" + ("" if forced else ", by its columns")
        return "formats " + ", ".join(f"{name} {count}" for name, count in self.shapes.most_common()) + ", row by row"

    def lines(self) -> list[str]:
        """One line a kind of finding."""
        found = []
        if self.read_as:
            found.append("read " + shorten_list([f"`{theirs}` as {ours}" for theirs, ours in self.read_as], SHOWN))
        if self.columns:
            found.append("not read: columns " + shorten_list(_counted(self.columns, "rows"), SHOWN))
        if self.keys:
            found.append("not read: keys of turns " + shorten_list(_counted(self.keys, "turns"), SHOWN))
        return found + [
            f"{count} {'time' if count == 1 else 'times'}: {sentence}"
            for sentence, count in self.said.most_common(SHOWN)
        ]


def _counted(names: Counter[str], what: str) -> list[str]:
    return [f"`{shorten(name, 40)}` ({count} {what})" for name, count in names.most_common()]
