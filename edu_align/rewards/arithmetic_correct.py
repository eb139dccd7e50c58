"""Whether the sums in a reply are right."""

from edu_align.evaluation.suite import reply_text
from edu_align.rewards.asked import Asked, Rule


def score(reply: str, asked: Asked) -> float:
    """0 for a reply that adds an equation to the dialogue that does not hold, else 1."""
    return float(reply_text.calculates(reply, asked.text) is not False)


REWARD = Rule(
    score=score,
    says="every equation holds that the reply adds to the dialogue; a reply without one has 1",
    gamed="write no equation at all, or write numbers without an equals sign",
)
