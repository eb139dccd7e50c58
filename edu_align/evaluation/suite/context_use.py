"""Whether a model reads the dialogue: the reply written to it among good replies to other dialogues."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from edu_align.evaluation import baselines
from edu_align.evaluation.baselines import idf_overlap
from edu_align.evaluation.preference import Scores, first_place
from edu_align.evaluation.suite.data import Settings, SourceAbsentError, SuiteData
from edu_align.evaluation.suite.pair_accuracy import group_series
from edu_align.evaluation.suite.prompts import EXPERT
from edu_align.evaluation.suite.results import MetricResult, Scored, Series, Subject
from edu_align.records import Message, Response, ResponseGroup, without_dialogue
from edu_align.utils.hashing import sha256

Score = Callable[[Sequence[tuple[Sequence[Message], Sequence[str]]]], list[list[Scored]] | None]
CANDIDATES = 8


def context_use(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Share of dialogues whose own Expert reply is ranked first among eight Expert replies of like length.

    The other seven were written to other problems of the same split (see `with_candidates`). Replies are ranked by
    pointwise mutual information with the dialogue, PMI(y; x) = log p(y | x) - log p(y | no dialogue), which takes away
    what a reply is worth anywhere. For a model with a reference the same is asked of its implicit reward:
    [log pi - log pi_ref](y | x) - [log pi - log pi_ref](y | no dialogue), what training added to the reading of the
    dialogue. A reward model's reward takes the place of the log-probability.

    Ties for the first place count by their share. Chance is 1/8.
    """
    groups = with_candidates(data.mrbench)
    if not groups:
        raise SourceAbsentError(f"fewer than {CANDIDATES} problems of the split have an Expert reply")
    if subject.rewards([]) is not None:
        return _result(data, groups, {"reward": _information(groups, partial(_rewards, subject))})
    own = _information(groups, subject.score)
    ranked = {"mean_logp": own}
    reference = _information(groups, subject.reference_score)
    if own is not None and reference is not None:
        ranked["implicit"] = [
            tuple(a - b for a, b in zip(row, other, strict=True)) for row, other in zip(own, reference, strict=True)
        ]
    return _result(data, groups, ranked)


def _rewards(subject: Subject, rows: Sequence[tuple[Sequence[Message], Sequence[str]]]) -> list[list[Scored]]:
    return [[(reward, 1) for reward in row] for row in subject.rewards(rows) or []]


def _result(data: SuiteData, groups: Sequence[ResponseGroup], ranked: dict[str, list[Scores] | None]) -> MetricResult:
    rules = {
        "chance": baselines.chance,
        "overlap": baselines.overlap,
        "idf_overlap": idf_overlap(data.mrbench_training),
    }
    by_rule = {name: _first(groups, [rule(group) for group in groups]) for name, rule in rules.items()}
    measured = {f"context_use/{name}": _first(groups, scores) for name, scores in ranked.items() if scores is not None}
    definition, rules_of = inspect.getdoc(context_use) or "", dict.fromkeys(measured, by_rule)
    return MetricResult.alike("context_use", definition, measured, "share", "higher", baselines=rules_of)


def with_candidates(groups: Sequence[ResponseGroup]) -> list[ResponseGroup]:
    """Each dialogue with eight replies: its own Expert's (score 1) first, then the seven nearest in length (score 0).

    Candidates are the Expert replies to other groups, one a group and text, nearest in words first; equally near ones
    in the order of the sha256 of both texts, so the choice depends on nothing but the records.
    """
    written = [(group, reply.text) for group in groups for reply in group.responses if reply.author == EXPERT]
    result = []
    for group, text in written:
        length, chosen = len(text.split()), {group.group: text}
        order = {reply: (abs(len(reply.split()) - length), sha256(f"{text}\n{reply}")) for _, reply in written}
        for other, reply in sorted(written, key=lambda one: order[one[1]]):
            if len(chosen) < CANDIDATES and other.group not in chosen and reply not in chosen.values():
                chosen[other.group] = reply
        if len(chosen) == CANDIDATES:
            replies = [Response(reply, float(key == group.group), author=EXPERT) for key, reply in chosen.items()]
            result.append(replace(group, responses=tuple(replies)))
    return result


def _information(groups: Sequence[ResponseGroup], score: Score) -> list[Scores] | None:
    """log p(y | x) - log p(y | no dialogue) of every candidate, in nats; None where there is no such model."""
    texts = [[response.text for response in group.responses] for group in groups]
    with_it = score([(group.prompt, row) for group, row in zip(groups, texts, strict=True)])
    if with_it is None:
        return None
    alone = score([(without_dialogue(group.prompt), row) for group, row in zip(groups, texts, strict=True)])
    assert alone is not None
    return [
        tuple(a - b for (a, _), (b, _) in zip(row, other, strict=True))
        for row, other in zip(with_it, alone, strict=True)
    ]


def _first(groups: Sequence[ResponseGroup], scores: Sequence[Scores]) -> Series:
    """1 where the right reply has the highest score alone, 1/k where k share it, else 0."""
    return group_series(groups, map(first_place, scores))
