"""A greedy reply that repeats one piece for ever: noticed, so that nobody waits for the last of its tokens."""

from collections.abc import Sequence

LONGEST = 80  # tokens of the piece that is repeated
TIMES = 3  # how often it stands there, at least
LEAST = 60  # tokens of all of it: a line of dashes, or "no, no, no", is no loop


def loops(ids: Sequence[int]) -> bool:
    """Whether `ids` end with one piece over and over. A greedy model that has begun to does not stop by itself."""
    for size in range(1, LONGEST + 1):
        long = max(LEAST, TIMES * size)
        if len(ids) >= long and all(ids[-i] == ids[-i - size] for i in range(1, long - size + 1)):
            return True
    return False


def loop_note(label: str) -> str:
    """What to tell the person."""
    return (
        f"{label} began to repeat itself and was cut off; generation.repetition_penalty=1.1, or a "
        "generation.temperature above 0, keeps a model from that"
    )
