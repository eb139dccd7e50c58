"""Every reward by its name in `trainer.rewards`. A new one is a file of this folder, an entry here, its name in
`REWARDS` of config/schema.py and its line in docs/methods.md.
"""

from collections.abc import Iterable
from typing import Any

from edu_align.rewards import (
    arithmetic_correct,
    asks_question,
    finds_mistake,
    human_length,
    judge,
    leaks_answer,
    locates_mistake,
    reward_model,
    student_numbers,
)
from edu_align.rewards.asked import Asked, ModelReward, Reward, Rule, Scoring, Sources

RULES: dict[str, Rule] = {
    "leaks_answer": leaks_answer.REWARD,
    "asks_question": asks_question.REWARD,
    "finds_mistake": finds_mistake.REWARD,
    "locates_mistake": locates_mistake.REWARD,
    "arithmetic_correct": arithmetic_correct.REWARD,
    "human_length": human_length.REWARD,
    "student_numbers": student_numbers.REWARD,
}
MODELS: dict[str, ModelReward] = {"reward_model": reward_model.REWARD, "judge": judge.REWARD}
REWARDS: dict[str, Reward] = {**RULES, **MODELS}


def lacking(names: Iterable[str], asked: Asked) -> list[str]:
    """Those of the rewards that say nothing of a dialogue, because it has not what they need."""
    return [name for name in names if not REWARDS[name].applies(asked)]


def scoring(name: str, sources: Sources) -> Scoring:
    """The reward `name` of many replies at once. Errors: a model that it takes is not there."""
    if name in MODELS:
        return MODELS[name].open(sources)
    score = RULES[name].score
    return lambda replies, asked: [score(text, one) for text, one in zip(replies, asked, strict=True)]


def identities(names: Iterable[str], sources: Sources) -> dict[str, Any]:
    """What those of the rewards are that a model gives, for a run's id. Errors: it is not there."""
    return {f"reward {name}": MODELS[name].identity(sources) for name in names if name in MODELS}
