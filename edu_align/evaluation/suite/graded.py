"""MRBench's four dimensions on a model's own replies, by a grader whose agreement with people stands first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edu_align.data.sources.mrbench import SCORED
from edu_align.evaluation.bootstrap import SHARE, Interval, difference
from edu_align.evaluation.grader import LABELS, Grader, fit
from edu_align.evaluation.macro_f1 import macro_f1
from edu_align.evaluation.suite.data import Settings, SourceAbsentError, SuiteData
from edu_align.evaluation.suite.leak import CONSTANT
from edu_align.evaluation.suite.prompts import EXPERT, Prompt, generate, of_groups
from edu_align.evaluation.suite.results import MetricResult, Series, Subject
from edu_align.records import ResponseGroup

AGREEMENT, GRADE = "grader_agreement", "graded"
DEFINITION = (
    "Points (0 to 2) that a grader expects people to give the model's own replies to MRBench's dialogues, on each of "
    "its four dimensions. The grader is a linear head on hidden states of the base model, fitted on people's labels of "
    "the training part. grader_agreement: share of people's labels of this split that it repeats; where that is not "
    "above always saying the most frequent label, its points say nothing."
)


@dataclass(frozen=True)
class Labelled:
    """Replies that people labelled: an item and a group each, their states (N, H), and labels 0 to 2 by dimension."""

    items: tuple[str, ...]
    groups: tuple[str, ...]
    states: Any
    labels: Mapping[str, tuple[int, ...]]


def graded(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """The four dimensions of MRBench on the model's own replies: mistake found, located, guidance, actionable.

    A grader is trained here, by the base model's hidden states, on people's labels of the training part, and is the
    same for every model on that base. How far it agrees with people on this split comes first, beside the most frequent
    label. Baselines of the points: the Expert's reply and a constant one, graded alike.
    """
    training, held = data.mrbench_training, data.mrbench
    if len({group.group for group in training}) < 2:
        raise SourceAbsentError("the training part of MRBench has fewer than two groups to fit a grader on")
    prompts = of_groups(held, {})
    written = generate(subject, prompts, settings.max_new_tokens).replies
    states = subject.base_states([(group.prompt, [r.text for r in group.responses]) for group in [*training, *held]])
    learned = _labelled(training, states[: len(training)])
    grader = fit(learned.states, learned.labels, learned.groups)
    measured, baselines, units, notes = _agreement(grader, _labelled(held, states[len(training) :]), settings.seed)
    others = _others(prompts)
    asked = subject.base_states(
        [(one.turns, [written[one.item], *(texts[one.item] for texts in others.values())]) for one in prompts]
    )
    for dimension in SCORED:
        points = [grader.points(dimension, each) for each in asked]
        name = f"{GRADE}/{dimension}"
        measured[name] = Series.over(prompts, [row[0] for row in points])
        baselines[name] = {
            rule: Series.over(prompts, [row[place] for row in points]) for place, rule in enumerate(others, start=1)
        }
        units[name] = "of 2 points"
    notes.append(f"fitted on {len(learned.items)} replies of {len(set(learned.groups))} groups of the training part.")
    examples = tuple(
        {"item": one.item, "reply": written[one.item]} | {name: grader.points(name, each[:1])[0] for name in SCORED}
        for one, each in list(zip(prompts, asked, strict=True))[:8]
    )
    better = dict.fromkeys(measured, "higher")
    return MetricResult("graded", DEFINITION, measured, baselines, units, better, tuple(notes), examples)


def _labelled(groups: Sequence[ResponseGroup], states: Sequence[Any]) -> Labelled:
    replies = [(group, reply) for group in groups for reply in group.responses]
    return Labelled(
        tuple(f"{group.id}/{reply.author}" for group, reply in replies),
        tuple(group.group for group, _ in replies),
        np.concatenate(list(states)),
        {name: tuple(int(reply.scores[name]) for _, reply in replies) for name in SCORED},
    )


def _agreement(
    grader: Grader, held: Labelled, seed: int
) -> tuple[dict[str, Series], dict[str, dict[str, Series]], dict[str, str], list[str]]:
    """For each dimension the items on which grader and people agree, beside the most frequent label, and a sentence."""
    measured, baselines, notes = {}, {}, []
    for dimension in SCORED:
        people, usual = held.labels[dimension], grader.majority[dimension]
        said = [int(label) for label in grader.chances(dimension, held.states).argmax(1)]
        name = f"{AGREEMENT}/{dimension}"
        measured[name] = _series(held, [float(a == b) for a, b in zip(said, people, strict=True)])
        baselines[name] = {"majority label": _series(held, [float(usual == label) for label in people])}
        own, rule = measured[name], baselines[name]["majority label"]
        gap = difference(own.values, rule.values, held.groups, seed=seed, bounds=SHARE)
        f1 = macro_f1(people, said, held.groups, len(LABELS), seed)
        always = macro_f1(people, [usual] * len(people), held.groups, len(LABELS), seed)
        verdict = "" if gap.low > 0 else f" Its points on {dimension} are no evidence: it is not shown to agree better."
        notes.append(
            f"{name}: macro-F1 {_shown(f1)}, always {LABELS[usual]!r} {_shown(always)}; share minus that rule's "
            f"{_shown(gap, '+')}.{verdict}"
        )
    return measured, baselines, dict.fromkeys(measured, "share"), notes


def _series(held: Labelled, values: Sequence[float]) -> Series:
    return Series(held.items, held.groups, tuple(values), (1.0,) * len(values))


def _shown(found: Interval, sign: str = "") -> str:
    return f"{found.mean:{sign}.3f} [{found.low:{sign}.3f}, {found.high:{sign}.3f}]"


def _others(prompts: Sequence[Prompt]) -> dict[str, dict[str, str]]:
    """Whose replies are graded beside the model's, by item; the Expert's where all prompts have one."""
    found = {"constant reply": {one.item: CONSTANT for one in prompts}}
    if all(one.human for one in prompts):
        found[EXPERT] = {one.item: one.human for one in prompts}
    return found
