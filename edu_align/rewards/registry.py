"""Every reward by its name in `trainer.rewards`. A new one is a file of this folder, an entry here, its name in
`REWARDS` of config/schema.py and its line in docs/methods.md.
"""

from collections.abc import Iterable

from edu_align.rewards import (
    arithmetic_correct,
    asks_question,
    finds_mistake,
    human_length,
    leaks_answer,
    locates_mistake,
    student_numbers,
)
from edu_align.rewards.asked import Asked, Reward, Scoring

REWARDS: dict[str, Reward] = {
    "leaks_answer": leaks_answer.REWARD,
    "asks_question": asks_question.REWARD,
    "finds_mistake": finds_mistake.REWARD,
    "locates_mistake": locates_mistake.REWARD,
    "arithmetic_correct": arithmetic_correct.REWARD,
    "human_length": human_length.REWARD,
    "student_numbers": student_numbers.REWARD,
}


def lacking(names: Iterable[str], asked: Asked) -> list[str]:
    """Those of the rewards that say nothing of a dialogue, because it has not what they need."""
    return [name for name in names if not REWARDS[name].applies(asked)]


def scoring(name: str) -> Scoring:
    """The reward `name` of many replies at once."""
    reward = REWARDS[name]
    return lambda replies, asked: [reward.score(text, one) for text, one in zip(replies, asked, strict=True)]
