"""Whether a reply speaks of the student's own numbers."""

from edu_align.rewards.asked import Asked, Rule
from edu_align.tutoring.text import numbers


def score(reply: str, asked: Asked) -> float:
    """The Jaccard index of the numbers in the reply and in the student's last turn, by exact value: those in both over
    those in either.
    """
    theirs, own = set(numbers(asked.student)), set(numbers(reply))
    return len(theirs & own) / len(theirs | own) if theirs | own else 0.0


REWARD = Rule(
    score=score,
    says="the numbers of the reply are those of the student's last turn (Jaccard index)",
    gamed="repeat what the student wrote, or list its numbers",
    needs="a number in the student's last turn",
    applies=lambda asked: bool(numbers(asked.student)),
)
