"""Whether a reply is as long as people's."""

from collections.abc import Iterable
from statistics import quantiles

from edu_align.rewards.asked import Asked, Rule


def people_write(replies: Iterable[str]) -> tuple[int, int]:
    """The words that four of five replies have: the first and the last decile of their lengths, at least 1."""
    lengths = sorted(len(text.split()) for text in replies)
    if len(lengths) < 2:
        return (max(lengths, default=1),) * 2
    deciles = quantiles(lengths, n=10, method="inclusive")
    return max(round(deciles[0]), 1), max(round(deciles[-1]), 1)


def score(reply: str, asked: Asked) -> float:
    """1 for a reply with as many words as four of five in the training data have; shorter and longer ones have less, in
    proportion: half as many words as the fewest, or twice as many as the most, have 0.5.
    """
    (fewest, most), words = asked.words, len(reply.split())
    return min(words / fewest, 1.0, most / max(words, 1))


REWARD = Rule(
    score=score,
    says="the reply has as many words as four of five replies in the training data; shorter and longer ones have less",
    gamed="fill up with empty words, or repeat a sentence; what the words say is not read",
)
