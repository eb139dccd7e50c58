"""Fresh dialogues of the built-in corpus: misconceptions and wordings that training knows or does not, crossed."""

from collections.abc import Iterable
from random import Random

from edu_align.data.records import ResponseGroup
from edu_align.evaluation.suite.prompts import Asked
from edu_align.tutoring.dialogue import dialogue
from edu_align.tutoring.library import by_split
from edu_align.tutoring.replies import reply, usable
from edu_align.tutoring.splits import rank
from edu_align.tutoring.types import Case, Misconception

SOURCE = "edu_tutor"
EACH = 30  # prompts of each cell
SEED = 6  # of the suite's own draws; apart from the corpus's, so that its problems are new ones
# Cell -> the split that its misconceptions are of, and that of its wordings ("" stands for the measured split).
CELLS = {
    "held_out": ("", ""),
    "seen_phrasing": ("", "train"),
    "seen_misconception": ("train", ""),
    "seen": ("train",) * 2,
}
SHOWN = ("guiding", "agreeing")  # constructed replies that are kept beside each prompt
_TRIES = 60


def corpus_prompts(split: str, trained: Iterable[ResponseGroup], each: int = EACH) -> list[Asked]:
    """`each` prompts a cell of CELLS, shared out evenly over the cell's misconceptions; `split` is the measured one.

    Problems that a group of `trained` poses are drawn again, and left out where none other turns up. The prompts are
    the same on every machine. `others` holds a constructed guiding and agreeing reply, `meta` what `free_text` needs.
    """
    known = _bare("\n".join(turn.content for group in trained for turn in group.prompt))
    library = by_split()
    found = []
    for cell, (misconceptions, words) in CELLS.items():
        items = sorted(library[misconceptions or split], key=lambda item: rank(item.id))
        for place in range(each):
            item = items[place % len(items)]
            rng = Random(f"suite/{SEED}/{cell}/{item.id}/{place}")
            case = _new_case(item, known, rng)
            if case is not None:
                found.append(_asked(case, item, f"{cell}:{item.id}:{place}", cell, words or split, rng))
    return found


def _new_case(item: Misconception, known: str, rng: Random) -> Case | None:
    for _ in range(_TRIES):
        case = item.make(rng)
        if usable(case) and _bare(case.question) not in known:
            return case
    return None


def _bare(text: str) -> str:
    return text.lower().rstrip(".?!: ")


def _asked(case: Case, item: Misconception, name: str, cell: str, words: str, rng: Random) -> Asked:
    meta = {
        "cell": cell,
        "misconception": item.id,
        "answer": case.answer,
        "wrong_answer": case.wrong_answer,
        "place": case.place,
        "wrong_place": case.wrong_place,
    }
    turns = dialogue(case, words, rng)
    others = {kind: reply(case, kind, words, rng).text for kind in SHOWN}
    return Asked(f"{SOURCE}:{name}", f"misconception:{item.id}", SOURCE, turns, others=others, meta=meta)
