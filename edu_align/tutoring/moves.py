"""The moves that a tutor reply is composed of, and the scores that follow from the moves.

The dimensions are those of the taxonomy of Maurya et al. (2025), "Unifying AI Tutor Evaluation" (arXiv:2412.09416),
without coherence and human-likeness, which do not vary here. Each is 0 (no), 1 (to some extent) or 2 (yes); for
`revealing_of_the_answer` 2 means that the reply does not reveal it, for `tutor_tone` 2 is encouraging, 1 neutral and
0 offensive. Higher is better on each of them, and a reply's total is their plain sum, from 0 to 12.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edu_align.tutoring import phrasings_tutor as said

DIMENSIONS = (
    "mistake_identification",
    "mistake_location",
    "providing_guidance",
    "actionability",
    "revealing_of_the_answer",
    "tutor_tone",
)
_NEUTRAL = {"revealing_of_the_answer": 2, "tutor_tone": 1}


@dataclass(frozen=True)
class Move:
    """One thing a tutor does in a reply: its wordings, and what it adds to the dimensions.

    `gives` holds what the move achieves on a dimension (the best move of a reply counts); `spoils` holds what it
    caps a dimension to, whatever the other moves achieve.
    """

    phrasings: tuple[str, ...]
    gives: Mapping[str, int] = field(default_factory=dict)
    spoils: Mapping[str, int] = field(default_factory=dict)


def _found(identification: int, location: int) -> dict[str, int]:
    return {"mistake_identification": identification, "mistake_location": location}


# `miss` uses the very wordings of `locate`, put to a part of the work that is right: only the work tells them apart.
MOVES: dict[str, Move] = {
    "warm": Move(said.WARM, {"tutor_tone": 2}),
    "credit": Move(said.CREDIT, {"tutor_tone": 2}),
    "cheer": Move(said.CHEER, {"tutor_tone": 2}),
    "scold": Move(said.SCOLD, spoils={"tutor_tone": 0}),
    "remark": Move(said.REMARK),
    "flag": Move(said.FLAG, _found(2, 0)),
    "doubt": Move(said.DOUBT, _found(1, 0)),
    "locate": Move(said.LOCATE, _found(2, 2)),
    "cause": Move(said.CAUSE, _found(1, 1)),
    "ask": Move(said.ASK, {"providing_guidance": 2, "actionability": 2}),
    "hint": Move(said.HINT, {"providing_guidance": 2, "actionability": 1}),
    "act": Move(said.ACT, {"providing_guidance": 1, "actionability": 2}),
    "retry": Move(said.RETRY, {"actionability": 1}),
    "tell": Move(
        said.TELL, {**_found(1, 1), "providing_guidance": 1}, spoils={"revealing_of_the_answer": 0, "actionability": 0}
    ),
    "agree": Move(said.AGREE, spoils={**_found(0, 0), "providing_guidance": 0}),
    "onward": Move(said.ONWARD),
    "miss": Move(
        said.LOCATE, _found(1, 0), spoils={"mistake_location": 0, "providing_guidance": 1, "actionability": 1}
    ),
    "miss_ask": Move(said.MISS_ASK, {"actionability": 1}),
}


def scores_of(moves: Iterable[str]) -> dict[str, float]:
    """Scores of a reply that makes these moves: one value from {0, 1, 2} a dimension, in the order of `DIMENSIONS`."""
    made = [MOVES[name] for name in moves]
    scores = {}
    for dimension in DIMENSIONS:
        best = max([_NEUTRAL.get(dimension, 0), *(move.gives.get(dimension, 0) for move in made)])
        scores[dimension] = float(min([best, *(move.spoils.get(dimension, 2) for move in made)]))
    return scores
