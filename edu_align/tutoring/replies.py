"""Tutor replies of graded quality, composed of moves."""

from random import Random

from edu_align.records import Response
from edu_align.tutoring.moves import MOVES, scores_of
from edu_align.tutoring.text import mentions, pick, sentence, sentences
from edu_align.tutoring.types import Case

# Every quality of a reply, and the orders of moves that make it; one order is drawn evenly.
RECIPES: dict[str, tuple[str, ...]] = {
    "guiding": (
        "warm locate ask",
        "credit locate ask",
        "locate ask cheer",
        "warm locate hint act",
        "locate hint act cheer",
        "locate act ask cheer",
    ),
    "hinting": ("warm locate hint", "credit locate hint", "locate hint cheer", "warm hint locate"),
    "locating": (
        "warm locate cause",
        "credit locate cause cheer",
        "remark flag locate cause cheer",
        "remark warm cause locate retry",
        "flag locate cause retry",
    ),
    "vague": (
        "warm doubt credit retry",
        "remark warm flag credit retry cheer",
        "credit doubt retry cheer",
        "remark doubt flag retry cheer",
        "warm credit flag remark retry",
    ),
    "telling": (
        "credit flag tell",
        "warm flag tell cheer",
        "remark locate tell",
        "flag tell retry",
        "warm tell onward",
    ),
    "agreeing": (
        "warm agree credit cheer onward",
        "agree remark credit onward",
        "credit warm agree cheer onward",
        "remark warm credit agree cheer",
        "warm remark agree credit onward",
    ),
    "misdiagnosing": (
        "warm miss ask",
        "remark miss hint act cheer",
        "warm flag miss ask",
        "warm miss miss_ask retry cheer",
        "miss act ask cheer",
    ),
    "scolding": (
        "scold locate ask",
        "remark locate hint scold",
        "scold flag locate cause",
        "flag scold locate cause retry",
        "remark scold locate cause retry",
        "scold flag locate tell",
    ),
}
KINDS = tuple(RECIPES)


def usable(case: Case) -> bool:
    """Whether replies about the case can be kept apart: the right answer shows nowhere but in the solution."""
    shown = (case.place, case.cause, case.wrong_answer, case.wrong_place, case.topic)
    helps = (*case.probes, *case.hints, *case.actions)
    apart = case.place.lower() not in case.wrong_place.lower() and case.wrong_place.lower() not in case.place.lower()
    return apart and not mentions(" | ".join((*shown, *helps)), case.answer)


def fields(case: Case, rng: Random) -> dict[str, str]:
    """What the templates of one reply are filled with: its probe, hint and next step are drawn here."""
    return {
        "place": case.place,
        "cause": case.cause,
        "probe": sentence(rng.choice(case.probes)),
        "hint": sentence(rng.choice(case.hints)),
        "action": rng.choice(case.actions),
        "solution": sentences(case.solution),
        "answer": case.answer,
        "wrong": case.wrong_answer,
        "wrong_place": case.wrong_place,
        "topic": case.topic,
    }


def reply(case: Case, kind: str, split: str, rng: Random) -> Response:
    """One reply of the quality `kind` in wordings of `split`; its scores follow from its moves."""
    moves = rng.choice(RECIPES[kind]).split()
    filled = fields(case, rng)
    missed = {**filled, "place": case.wrong_place}
    text = sentences(
        [pick(MOVES[move].phrasings, split, rng).format(**(missed if move == "miss" else filled)) for move in moves]
    )
    scores = scores_of(moves)
    return Response(text=text, score=sum(scores.values()), scores=scores, author=kind)


def graded(case: Case, split: str, rng: Random) -> tuple[Response, ...]:
    """Five to seven replies of different qualities in random order, always with a guiding one."""
    others = rng.sample([kind for kind in KINDS if kind != "guiding"], rng.choice((4, 5, 6)))
    replies = [reply(case, kind, split, rng) for kind in ("guiding", *others)]
    rng.shuffle(replies)
    return tuple(replies)
