"""Two replies, judged in both orders: a verdict counts only where the order did not decide it."""

from collections.abc import Sequence
from dataclasses import dataclass

from edu_align.data.records import Message
from edu_align.evaluation.judge.answers import Tally, opinions
from edu_align.evaluation.judge.rubric import FIRST, SECOND, TIE, Opinion, points, question
from edu_align.evaluation.judge.settings import JudgeSettings

LEFT, RIGHT = "left", "right"


@dataclass(frozen=True)
class Contest:
    """A dialogue with two replies to it. `item` names it, `group` is the cluster that is resampled."""

    item: str
    group: str
    turns: tuple[Message, ...]
    gold: str
    left: str
    right: str


@dataclass(frozen=True)
class Verdict:
    """What the judge made of a contest: `shown_left` with the left reply first, `shown_right` with the right one."""

    contest: Contest
    shown_left: Opinion
    shown_right: Opinion

    @property
    def winners(self) -> tuple[str, str]:
        """left | right | tie, in the order of the two questions."""
        return (
            {FIRST: LEFT, SECOND: RIGHT}.get(self.shown_left.better, TIE),
            {FIRST: RIGHT, SECOND: LEFT}.get(self.shown_right.better, TIE),
        )

    @property
    def winner(self) -> str:
        """left | right | tie; a tie where the two orders do not say the same."""
        once, again = self.winners
        return once if once == again else TIE

    @property
    def consistent(self) -> bool:
        return self.winners[0] == self.winners[1]

    def labels(self, side: str, dimension: str) -> tuple[str, str]:
        """The reply's label in both orders."""
        if side == LEFT:
            return self.shown_left.first[dimension], self.shown_right.second[dimension]
        return self.shown_left.second[dimension], self.shown_right.first[dimension]

    def points(self, side: str, dimension: str) -> float:
        """The mean of both labels, as numbers."""
        return sum(points(dimension, label) for label in self.labels(side, dimension)) / 2


def verdicts(settings: JudgeSettings, contests: Sequence[Contest]) -> tuple[list[Verdict], Tally]:
    """Verdicts of the contests that got two well-formed answers, in their order, and the tally."""
    chats = []
    for one in contests:
        chats.append(question(one.turns, one.gold, one.left, one.right))
        chats.append(question(one.turns, one.gold, one.right, one.left))
    found, tally = opinions(settings, chats)
    both = zip(contests, found[::2], found[1::2], strict=True)
    return [Verdict(one, a, b) for one, a, b in both if a is not None and b is not None], tally


def order_notes(judged: Sequence[Verdict]) -> list[str]:
    """How often the order decided, and whether the first place was liked better."""
    if not judged:
        return []
    differ = sum(not verdict.consistent for verdict in judged)
    said = [opinion.better for verdict in judged for opinion in (verdict.shown_left, verdict.shown_right)]
    decided = len(said) - said.count(TIE)
    first = f"{said.count(FIRST) / decided:.2f} of {decided}" if decided else "none"
    return [
        f"The judge contradicted itself when the replies changed places in {differ} of {len(judged)} pairs "
        f"({differ / len(judged):.2f}), which count as ties. Of its decisions, {first} went to the reply shown first."
    ]
