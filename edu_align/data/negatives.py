"""Replies that are wrong for a dialogue and read well: the kinds of `dataset.contrast_kinds`.

    3 bags of 4 nuts ...?  My solution: 3 + 4 = 7       chosen: Is 4 the number of bags, or of nuts?
    elsewhere       What is 20 % of 50?                 a good reply of the same author to another question
    same_question   Why do you divide 12 by 3?          one to another attempt at this question
    earlier         Tell me your solution.              what the tutor has said in this dialogue already
    numbers         Is 6 the number of bags, or ...?    the chosen reply, the student's numbers changed

Of each, style says nothing or little; the last two are from this dialogue, so that its topic says nothing either.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial

from edu_align.records import Message, Response, ResponseGroup
from edu_align.tutoring.text import numbers, plain_numbers
from edu_align.utils.hashing import sha256

# What ends the author of a constructed reply, by its kind.
MARKS = {
    "elsewhere": " (from another dialogue)",
    "same_question": " (from another attempt)",
    "earlier": " (from an earlier turn)",
    "numbers": " (with other numbers)",
}
NEAREST = 12  # replies nearest in length, one of which is drawn
ROOM = 9  # a small number may become one that is larger by so much


def kind_of(author: str) -> str:
    """The kind of a constructed reply by its author, "" for a reply that somebody gave here."""
    return next((kind for kind, mark in MARKS.items() if author.endswith(mark)), "")


@dataclass(frozen=True)
class Given:
    """A good reply to some dialogue. `words`: its length."""

    text: str
    author: str
    words: int
    group: str
    question: str
    prompt: tuple[Message, ...]


@dataclass(frozen=True)
class Pool:
    """Good replies by source and author."""

    replies: dict[tuple[str, str], list[Given]] = field(default_factory=lambda: defaultdict(list))

    def add(self, group: ResponseGroup, good: Iterable[int]) -> None:
        for reply in (group.responses[i] for i in good):
            words, question = len(reply.text.split()), group.meta.get("problem", "")
            given = Given(reply.text, reply.author, words, group.group, question, group.prompt)
            self.replies[group.source, reply.author].append(given)


@dataclass(frozen=True)
class Place:
    """Where a wrong reply is wanted: beside the good reply `own` of a group. `used`: texts that it has already.

    `salt`: the seed, and the number of the wanted reply.
    """

    group: ResponseGroup
    own: Response
    used: frozenset[str]
    salt: tuple[int, int]

    def here(self) -> set[str]:
        """Texts of the dialogue and of its replies."""
        texts = {message.content for message in self.group.prompt} | {reply.text for reply in self.group.responses}
        return texts | self.used

    def drawn(self, *what: object) -> str:
        """A number by which one of several is drawn."""
        return draw(*self.salt, self.group.id, *what)


Kind = Callable[[Place, Pool], Response | None]


def elsewhere(place: Place, pool: Pool) -> Response | None:
    """A good reply of the same author to another question or session.

    Where the group is one turn of a conversation, it may be the reply to another turn of it.
    """
    one_turn = len(place.group.responses) == 1
    return _near(place, (one for one in _by_author(place, pool) if one_turn or one.group != place.group.group))


def same_question(place: Place, pool: Pool) -> Response | None:
    """A good reply of the same author to another attempt at the same question (`meta["problem"]`): to a dialogue that
    neither goes on from this one nor this one from it.
    """
    question, prompt = place.group.meta.get("problem", ""), place.group.prompt
    if not question:
        return None
    fits = (one for one in _by_author(place, pool) if one.question == question)
    return _near(place, (one for one in fits if not _goes_on(one.prompt, prompt)))


def earlier(place: Place, pool: Pool) -> Response | None:
    """What the tutor has said in this dialogue: the right reply to an earlier turn of the student's."""
    replies = {reply.text for reply in place.group.responses} | place.used
    said = {turn.content for turn in place.group.prompt if turn.role == "assistant" and turn.content.strip()}
    text = min(said - replies, key=place.drawn, default=None)
    return None if text is None else Response(text, 0.0, author="Tutor")


def other_numbers(place: Place, pool: Pool) -> Response | None:
    """The good reply with the student's numbers that it names changed, each to one of about the same size that stands
    neither in the dialogue nor in the reply, nor is the answer where that is known.

    Whole numbers and decimals are changed, fractions stay. The same number becomes the same one throughout.
    """
    text, prompt = place.own.text, place.group.prompt
    students = _sizes(turn.content for turn in prompt if turn.role == "user")
    taken = _sizes([*(turn.content for turn in prompt), text, place.group.meta.get("gold_answer", "")])
    became: dict[Fraction, Fraction] = {}
    parts, done = [], 0
    for start, end in plain_numbers(text):
        written = text[start:end]
        size = Fraction(written.replace(",", ""))
        if size not in students:
            continue
        if size not in became:
            fitting = [new for new in _about(written) if new not in taken]
            if not fitting:
                return None
            became[size] = min(fitting, key=partial(place.drawn, text, written))
            taken.add(became[size])
        parts += [text[done:start], _written_as(became[size], written)]
        done = end
    made = "".join([*parts, text[done:]])
    return None if made in place.here() else Response(made, 0.0, author=place.own.author)


KINDS: dict[str, Kind] = {
    "elsewhere": elsewhere, "same_question": same_question, "earlier": earlier, "numbers": other_numbers,
}  # fmt: skip


def _by_author(place: Place, pool: Pool) -> Iterator[Given]:
    here = place.here()
    return (one for one in pool.replies[place.group.source, place.own.author] if one.text not in here)


def _near(place: Place, fits: Iterable[Given]) -> Response | None:
    """One of the NEAREST in length to the good reply."""
    words, seed = len(place.own.text.split()), place.salt[0]
    near = sorted(fits, key=lambda one: (abs(one.words - words), draw(seed, place.group.id, one.text)))[:NEAREST]
    drawn = min(near, key=lambda one: place.drawn(one.text), default=None)
    return None if drawn is None else Response(drawn.text, 0.0, author=drawn.author)


def _goes_on(one: tuple[Message, ...], other: tuple[Message, ...]) -> bool:
    """Whether one dialogue is the beginning of the other, or both are the same."""
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _sizes(texts: Iterable[str]) -> set[Fraction]:
    return {abs(value) for text in texts for value in numbers(text)}


def _about(written: str) -> list[Fraction]:
    """Numbers from half of it to half more, or ROOM steps of its last digit more, with as many decimals."""
    unit = 10 ** _decimals(written)
    steps = int(Fraction(written.replace(",", "")) * unit)
    least, most = max(1, math.ceil(steps / 2)), max(steps * 3 // 2, steps + ROOM)
    every = max(1, (most - least) // 200)  # enough to draw from
    return [Fraction(step, unit) for step in range(least, most + 1, every)]


def _written_as(value: Fraction, written: str) -> str:
    """The number as the other one is written: its decimals, and commas between thousands.

    _written_as(Fraction(1900), "1,250") -> "1,900";  _written_as(Fraction(3, 4), "0.50") -> "0.75"
    """
    text = f"{float(value):{',' if ',' in written else ''}.{_decimals(written)}f}"
    return text.removeprefix("0") if written.startswith(".") else text


def _decimals(written: str) -> int:
    return len(written.partition(".")[2])


def draw(*parts: object) -> str:
    """A text that is as good as drawn, the same for the same parts."""
    return sha256("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass"))
