"""Whether a reply gives the answer away; weighed below 0 it is a penalty."""

from edu_align.rewards.asked import Asked, Rule
from edu_align.tutoring.text import mentions


def score(reply: str, asked: Asked) -> float:
    """1 for a reply that states the final answer where the dialogue does not yet, else 0."""
    return float(not mentions(asked.text, asked.gold) and mentions(reply, asked.gold))


REWARD = Rule(
    score=score,
    says="the reply states the final answer, which the dialogue does not hold yet",
    gamed="say nothing of the problem; spell the number in words, or write the last step without its result",
    needs="the final answer (`answer` or `gold_answer` in the meta of a record)",
    applies=lambda asked: bool(asked.gold),
)
