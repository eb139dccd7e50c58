"""Whether a reply points at the place of the student's mistake, on the built-in corpus, by its exact rules."""

from edu_align.evaluation.suite import reply_text
from edu_align.rewards.asked import Asked, Rule
from edu_align.rewards.finds_mistake import NEEDS


def score(reply: str, asked: Asked) -> float:
    """1 for a reply that names the place of the mistake rather than a sound part of the work, else 0."""
    return float(reply_text.locates(reply, asked.meta))


REWARD = Rule(
    score=score,
    says="the reply points at the place of the mistake rather than at a sound part of the work",
    gamed="name every step of the work in turn; places in words other than the corpus's own have 0",
    needs=NEEDS,
    applies=lambda asked: asked.of_corpus,
)
