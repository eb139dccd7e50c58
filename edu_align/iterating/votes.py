"""`scorer=votes`: people's votes of the chat page, as pairs to learn and, held out, as a validation.

A vote on two answers is a pair, whoever wrote them. A vote is learned once, in the round that first finds it. The votes
of the validation part of their dialogues' split are held out, and those of its test part are not read.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from edu_align.config.schema import DatasetConfig
from edu_align.data.dataset import load_records
from edu_align.iterating.plan import Plan
from edu_align.iterating.tutor import Tutor
from edu_align.models.chat_template import as_chat
from edu_align.models.scoring import reply_rows
from edu_align.records import ResponseGroup
from edu_align.utils.hashing import digest

AGREEMENT = "votes_agreement"  # share of held-out votes whose preferred reply the tutor has made likelier than its base
Row = dict[str, Any]


def read_votes(plan: Plan, part: str) -> list[ResponseGroup]:
    """The votes of `train` or `validation`. Errors: the file is not there, or holds no vote on two answers."""
    own = plan.config.dataset
    dataset = DatasetConfig(
        name="local", sources=["local"], path=plan.asked.votes, system_prompt=own.system_prompt,
        split_seed=own.split_seed, test_fraction=own.test_fraction, validation_fraction=own.validation_fraction,
        validation_fold=own.validation_fold, folds=own.folds,
    )  # fmt: skip
    loaded = load_records(dataset, None, plan.config.outputs_root, 0, "preference")
    return [record for record in loaded.splits[part] if isinstance(record, ResponseGroup)]


def vote_id(group: ResponseGroup) -> str:
    """What a vote is known by: all that it says."""
    return digest(as_chat(group.prompt), [[reply.text, reply.score] for reply in group.responses])[:12]


def vote_rows(votes: Iterable[ResponseGroup], used: set[str], labels: bool) -> Iterator[Row]:
    """Rows of the votes that are not `used`, as `pairs` writes those of replies: for KTO with `labels`, or for DPO."""
    for vote in votes:
        name = vote_id(vote)
        if name in used:
            continue
        row = {"id": name, "group": vote.group, "split": "train", "prompt": as_chat(vote.prompt)}
        said = [{"role": "assistant", "content": reply.text} for reply in vote.responses]
        if labels:
            for place, (text, reply) in enumerate(zip(said, vote.responses, strict=True)):
                yield {**row, "id": f"{name} {place}", "reply": text, "label": reply.score > 0}
        else:
            scores = [reply.score for reply in vote.responses]
            yield {**row, "responses": [{"text": t, "score": s} for t, s in zip(said, scores, strict=True)]}


def used_votes(places: Iterable[Path], rows_in: Any) -> set[str]:
    """The ids of the votes in these files of pairs."""
    return {row["id"].partition(" ")[0] for place in places if place.is_file() for row in rows_in(place)}


def agreement_rows(plan: Plan, tutor: Tutor, votes: Iterable[ResponseGroup]) -> list[Row]:
    """1 for a vote whose preferred reply the tutor has made likelier, beside its base, than the other one; 1/2 for a
    tie; else 0.
    """
    every = list(votes)
    longest = plan.training.trainer.max_length
    families = [reply_rows(tutor.tokenizer, vote, longest) for vote in every]
    found = []
    for vote, (own, base) in zip(every, tutor.score(families) if families else [], strict=True):
        moved = [a - b for (a, _), (b, _) in zip(own, base, strict=True)]
        best = max(range(len(moved)), key=lambda place: vote.responses[place].score)
        gap = moved[best] - max(value for place, value in enumerate(moved) if place != best)
        value = 0.5 if gap == 0 else float(gap > 0)
        found.append({"id": vote_id(vote), "group": vote.group, "numbers": {AGREEMENT: value}})
    return found
