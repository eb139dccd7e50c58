"""Whether a judge, the model behind `evaluation.judge`, finds a reply better than the one that a person gave."""

from collections.abc import Sequence
from typing import Any

from edu_align.evaluation.judge.answers import LEFT, RIGHT, Contest, verdicts
from edu_align.evaluation.judge.client import Endpoint
from edu_align.evaluation.judge.settings import JudgeSettings
from edu_align.rewards.asked import Asked, ModelReward, Scoring, Sources

NEITHER = 0.5


class Judge:
    """Asks in both orders; answers are kept under outputs_root/cache/judge, so none is paid for twice."""

    def __init__(self, settings: JudgeSettings) -> None:
        Endpoint(settings)  # its package has to be there before the first reply is
        self.settings = settings

    def __call__(self, replies: Sequence[str], asked: Sequence[Asked]) -> list[float]:
        """1 for the better one, 0 for the worse one; 1/2 where it calls neither better, contradicts itself when the
        replies change places, or gives no well-formed answer.
        """
        contests = [
            Contest(str(place), one.id, one.turns, one.gold, text, one.person)
            for place, (text, one) in enumerate(zip(replies, asked, strict=True))
        ]
        differ = [one for one in contests if one.left != one.right]
        found = [NEITHER] * len(contests)
        if differ:
            judged, tally = verdicts(self.settings, differ)
            for verdict in judged:
                found[int(verdict.contest.item)] = {LEFT: 1.0, RIGHT: 0.0}.get(verdict.winner, NEITHER)
            print(f"edu_align: {tally.line(self.settings)}", flush=True)
        return found


def settings_of(sources: Sources) -> JudgeSettings:
    settings = JudgeSettings.of(sources.config)
    assert settings is not None, "a rule has asked for evaluation.judge"
    return settings


def identity(sources: Sources) -> Any:
    """Which model is asked, and for how long an answer: what it answers is its owner's to change."""
    settings = settings_of(sources)
    return [settings.endpoint, settings.model, settings.max_tokens]


def open_judge(sources: Sources) -> Scoring:
    return Judge(settings_of(sources))


REWARD = ModelReward(
    says="the judge (`evaluation.judge`) finds the reply better than the person's in both orders; 0.5 for neither",
    gamed="write what that model likes to read: longer, more polite, more certain; measure it against people first",
    needs="a person's reply in the data",
    applies=lambda asked: bool(asked.person),
    open=open_judge,
    identity=identity,
)
