"""Whether a reply asks the student something."""

from edu_align.evaluation.baselines import QUESTION_MARKS
from edu_align.rewards.asked import Asked, Rule


def score(reply: str, asked: Asked) -> float:
    """1 for a reply with a question mark, else 0."""
    return float(any(mark in reply for mark in QUESTION_MARKS))


REWARD = Rule(
    score=score,
    says="the reply has a question mark",
    gamed="end every reply with the same empty question (Okay?), or write question marks alone",
)
