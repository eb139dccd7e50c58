"""Dialogues of a tutor with a simulated student, all of them driven turn by turn: so a model answers many at once.

A tutor is a function of dialogues and a student one of talks, so that a model, a constant reply and a told answer are
measured alike. What a later turn asks depends on what was answered before; see `asking.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edu_align.evaluation.suite.prompts import Prompt
from edu_align.evaluation.suite.results import MetricResult, Series
from edu_align.models.chat_template import as_chat
from edu_align.records import Message
from edu_align.utils.hashing import sha256

TURNS = 4  # of the tutor, at most
SHOWN = 12  # talks that a result keeps for people


@dataclass(frozen=True)
class Try:
    """A student's next turn. `right`: its work is; `told`: the tutor's reply gave the answer; `leaves`: it was told
    that its wrong work is right, and has no reason to go on.
    """

    text: str
    right: bool
    told: bool = False
    leaves: bool = False


@dataclass(frozen=True)
class Talk:
    """A dialogue on its way: all `turns`, how many the tutor had (`used`), and what came of it."""

    prompt: Prompt
    turns: tuple[Message, ...]
    used: int = 0
    right: bool = False
    told: bool = False
    over: bool = False

    @property
    def item(self) -> str:
        return self.prompt.item

    @property
    def group(self) -> str:
        return self.prompt.group

    @property
    def reply(self) -> str:
        """What the tutor said last."""
        return self.turns[-1].content

    def heard(self, reply: str) -> "Talk":
        """With the tutor's reply; a tutor that says nothing ends the talk."""
        turns = (*self.turns, Message("assistant", reply))
        return replace(self, turns=turns, used=self.used + 1, over=not reply.strip())

    def tried(self, one: Try) -> "Talk":
        """With the student's next turn, which ends the talk where the work is right or the student leaves."""
        turns = (*self.turns, Message("user", one.text))
        over = one.right or one.leaves or not one.text.strip()
        return replace(self, turns=turns, right=one.right, told=self.told or one.told, over=over)

    def row(self) -> dict[str, Any]:
        """The talk for people."""
        facts = {"right": self.right, "told": self.told, "tutor_turns": self.used}
        return {"item": self.item, "talk": as_chat(self.turns), "opening": len(self.prompt.turns), **facts}


Tutor = Callable[[Sequence[Talk]], Sequence[str]]  # talks that end with the student -> the reply to each
Student = Callable[[Sequence[Talk]], Sequence[Try]]  # talks that end with the tutor -> the next turn of each


def talks(prompts: Sequence[Prompt], tutor: Tutor, student: Student, most: int = TURNS) -> list[Talk]:
    """Every dialogue of `prompts` carried on until the student's work is right or the tutor had `most` turns."""
    found = [Talk(one, one.turns) for one in prompts]
    for _ in range(most):
        going = [place for place, talk in enumerate(found) if not talk.over]
        replies = tutor([found[place] for place in going]) if going else []
        heard = {place: found[place].heard(reply) for place, reply in zip(going, replies, strict=True)}
        answered = [place for place, talk in heard.items() if not talk.over]
        tries = student([heard[place] for place in answered]) if answered else []
        heard |= {place: heard[place].tried(one) for place, one in zip(answered, tries, strict=True)}
        for place, talk in heard.items():
            found[place] = talk
    return found


def saying(text: Callable[[Prompt], str]) -> Tutor:
    """A tutor that says the same whenever it is asked about a problem."""
    return lambda found: [text(talk.prompt) for talk in found]


DEFINITION = (
    "A simulated student talks with the tutor until its work is right, for at most {turns} turns of the tutor. "
    "{name}_found: share of students who got it right and were not told the answer; {name}_right: share who got it "
    "right, told or not; {name}_told: share to whom the tutor said the answer; {name}_turns: the tutor's turns. {who}"
)
MARKS: dict[str, tuple[Callable[[Talk], float], str, str]] = {
    "found": (lambda talk: float(talk.right and not talk.told), "share", "higher"),
    "right": (lambda talk: float(talk.right), "share", "higher"),
    "told": (lambda talk: float(talk.told), "share", "lower"),
    "turns": (lambda talk: float(talk.used), "turns", ""),
}


def talks_metric(
    metric: str, who: str, own: Sequence[Talk], rules: dict[str, Sequence[Talk]], notes: Sequence[str] = ()
) -> MetricResult:
    """Each of MARKS over all talks and, where there are several, over those of a source; `rules`: of trivial tutors."""
    measured: dict[str, Series] = {}
    baselines: dict[str, dict[str, Series]] = {}
    units, better = {}, {}
    sources = sorted({talk.prompt.source for talk in own})
    for mark, (value, unit, direction) in MARKS.items():
        for source in ["", *sources] if len(sources) > 1 else [""]:
            name = f"{metric}_{mark}/{source}" if source else f"{metric}_{mark}"

            measured[name], units[name], better[name] = _series(own, source, value), unit, direction
            baselines[name] = {rule: _series(found, source, value) for rule, found in rules.items()}
    shown = sorted(own, key=lambda talk: sha256(talk.item))[:SHOWN]
    examples = tuple(talk.row() for talk in shown)
    definition = DEFINITION.format(turns=TURNS, name=metric, who=who)
    return MetricResult(metric, definition, measured, baselines, units, better, tuple(notes), examples)


def _series(found: Sequence[Talk], source: str, value: Callable[[Talk], float]) -> Series:
    part = [talk for talk in found if source in ("", talk.prompt.source)]
    return Series.over(part, map(value, part))
