"""The score of a reply: its rewards, each with its weight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from edu_align.iterating.plan import Plan
from edu_align.rewards.asked import Asked, Scoring, Sources
from edu_align.rewards.registry import scoring

Row = dict[str, Any]


def _opened(name: str, sources: Sources, replies: Sequence[str], asked: Sequence[Asked]) -> list[float]:
    return scoring(name, sources)(replies, asked)


@dataclass(frozen=True)
class Scorer:
    """`rewards`: what scores by each name; without any no reply has a score."""

    weights: Mapping[str, float]
    rewards: Mapping[str, Scoring]

    @classmethod
    def of(cls, plan: Plan) -> "Scorer":
        weights, sources = plan.asked.weights, Sources(plan.config, plan.asked.reward_run)
        return cls(weights, {name: partial(_opened, name, sources) for name in weights})

    def score(self, replies: Sequence[str], asked: Sequence[Asked]) -> list[Row]:
        """{score, rewards} of each reply, its rewards by name; {} where nothing scores."""
        if not self.rewards:
            return [{} for _ in replies]
        columns = {name: work(replies, asked) for name, work in self.rewards.items()}  # each model goes after its call
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return [{"score": sum(self.weights[name] * row[name] for name in row), "rewards": row} for row in rows]
