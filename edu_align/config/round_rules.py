"""Rules of rewards by name, and of what scores the replies of `edu_align.rounds`."""

from collections.abc import Iterator
from math import isfinite
from typing import Any

from edu_align.config.schema import REWARDS, RULES, SCORERS
from edu_align.utils.words import did_you_mean, listed

# Of each scorer: the key that it alone reads, and what an error suggests for it.
READS = {
    "rules": ("rounds.rewards", "{asks_question: 1}"),
    "reward": ("rounds.reward_run", "<a run of trainer=reward>"),
    "votes": ("rounds.votes", "<the file of the chat page's votes>"),
}


def problems_of_rewards(key: str, rewards: dict[str, Any], known: tuple[str, ...] = REWARDS) -> Iterator[str]:
    """Problems of the mapping `key`, {reward: weight}: a name that is none of `known`, a weight that is no number."""
    for name, weight in rewards.items():
        if name not in known:
            yield f"`{key}`: {name!r} is no reward.{did_you_mean(name, known)} Rewards: {listed(known)}."
        elif not isinstance(weight, int | float) or not isfinite(weight):
            yield f"`{key}`: the weight of {name} must be a number, got {weight}. Set it to 1, or -1."
    if rewards and not any(rewards.values()):
        yield f"`{key}={rewards}` weighs nothing. Set {key}={{asks_question: 1}}, or leave it out."


def problems_of_models(values: dict[str, Any]) -> Iterator[str]:
    """Problems of rewards that a model gives to `trainer=grpo`: it is not named, or named in vain."""
    rewards, run = values.get("trainer.rewards") or {}, values.get("trainer.reward_run")
    if rewards.get("reward_model") and not run:
        yield (
            "`trainer.rewards`: reward_model asks a reward model, got trainer.reward_run=null. Set "
            "trainer.reward_run=<a run of trainer=reward>."
        )
    if run and not rewards.get("reward_model"):
        yield (
            f"`trainer.reward_run={run}` is read by the reward reward_model, which trainer.rewards does not name. Add "
            "reward_model: 1 to it, or drop the key."
        )
    if rewards.get("judge") and not values.get("evaluation.judge"):
        yield (
            "`trainer.rewards`: judge asks an endpoint, got evaluation.judge=null. Set evaluation.judge=<base URL> and "
            "evaluation.judge_model=<name>."
        )


def problems_of_rounds(values: dict[str, Any]) -> Iterator[str]:
    """Problems of the group `rounds`: keys of another scorer, and a scorer without its own."""
    scorer = values.get("rounds.scorer")
    yield from problems_of_rewards("rounds.rewards", values.get("rounds.rewards") or {}, RULES)
    if scorer not in SCORERS:  # said already
        return
    for owner, (key, example) in READS.items():
        value = values.get(key)
        if value and scorer != owner:
            yield f"`{key}={value}` is read by scorer={owner}, got scorer={scorer}. Set scorer={owner}, or drop it."
        elif not value and scorer == owner != "rules":
            yield f"`scorer={owner}` needs `{key}`, got null. Set {key}={example}."
    if scorer == "judge" and not values.get("evaluation.judge"):
        yield (
            "`scorer=judge` needs an endpoint, got evaluation.judge=null. Set evaluation.judge=<base URL> and "
            "evaluation.judge_model=<name>."
        )
