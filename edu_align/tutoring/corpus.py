"""The built-in corpus: generated groups over mathematical misconceptions, and hand-written ones over other subjects."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from random import Random

from edu_align.records import Conversation, Message, ResponseGroup
from edu_align.tutoring.dialogue import dialogue
from edu_align.tutoring.library import by_split
from edu_align.tutoring.replies import graded, usable
from edu_align.tutoring.splits import SPLITS, sizes
from edu_align.tutoring.subjects_reader import SOURCE, hand_written
from edu_align.tutoring.types import Case, Misconception
from edu_align.utils.errors import UserError

LEAST_SIZE = 3
# Qualities (Response.author) that no tutor should be taught to give, however their sum compares: they give the answer
# away, hurt, or are wrong.
UNFIT_TO_LEARN = "telling,scolding,misdiagnosing,agreeing"
_TRIES = 60


def _case(item: Misconception, rng: Random, seen: dict[str, str], split: str) -> Case:
    """A usable case that no other split asks; a question that this split has not asked yet, if one turns up."""
    spare = None
    for _ in range(_TRIES):
        case = item.make(rng)
        if not usable(case) or seen.get(case.question, split) != split:
            continue
        if case.question not in seen:
            return case
        spare = spare or case
    if spare is None:
        raise ValueError(f"misconception {item.id!r} gave no usable case for {split} in {_TRIES} draws")
    return spare


def _group(item: Misconception, place: int, split: str, seed: int, seen: dict[str, str]) -> ResponseGroup:
    rng = Random(f"{seed}/{item.id}/{place}")
    case = _case(item, rng, seen, split)
    seen[case.question] = split
    meta = {
        "split": split,
        "area": item.area,
        "misconception": item.id,
        "answer": case.answer,
        "wrong_answer": case.wrong_answer,
        "place": case.place,
        "wrong_place": case.wrong_place,
    }
    name, prompt = f"{item.id}-{place:05d}", dialogue(case, split, rng)
    return ResponseGroup(prompt, graded(case, split, rng), name, SOURCE, f"misconception:{item.id}", meta)


def generated(size: int, seed: int) -> list[ResponseGroup]:
    """`size` groups, 70/10/20 over the splits, each split's shared out evenly over its own misconceptions.

    Each has a prompt of 1 to 5 turns and 5 to 7 replies with scores from 0 to 12. The same arguments give the same
    groups. Raises `UserError` for a size below 3 (one group a split).
    """
    if size < LEAST_SIZE:
        raise UserError(f"`dataset.size` must be at least {LEAST_SIZE} (one group a split), got {size}. Raise it.")
    seen: dict[str, str] = {}
    library, counts = by_split(), sizes(size)
    groups = []
    for split in SPLITS:
        items = list(library[split])
        Random(f"{seed}/{split}").shuffle(items)
        groups += [_group(items[n % len(items)], n, split, seed, seen) for n in range(counts[split])]
    return groups


def build(size: int, seed: int) -> list[ResponseGroup]:
    """`size` generated groups (at least 3, else `UserError`), then all hand-written ones; `meta` holds the split.

    `meta["unfit_to_learn"]` names the replies whose sum may be high but that no tutor should be taught to give.
    """
    groups = generated(size, seed) + hand_written()
    return [replace(group, meta={**group.meta, "unfit_to_learn": UNFIT_TO_LEARN}) for group in groups]


@lru_cache(maxsize=4)
def _kept(size: int, seed: int) -> tuple[ResponseGroup, ...]:
    return tuple(build(size, seed))


def load(size: int, seed: int) -> list[ResponseGroup]:
    """`build`, whose groups are kept for the next call with the same arguments; the list itself is the caller's."""
    return list(_kept(size, seed))


def conversations(groups: Sequence[ResponseGroup]) -> list[Conversation]:
    """The SFT view: each prompt and its best-scored reply (the first of equals), which alone is trained on.

    Earlier tutor turns only ask to see the work; they give context and take no loss.
    """
    found = []
    for group in groups:
        best = max(group.responses, key=lambda response: response.score)
        messages = (*group.prompt, Message("assistant", best.text, train=True))
        found.append(Conversation(messages, group.id, group.source, group.group, dict(group.meta)))
    return found
