"""Pair accuracy and selection score of any model, with rules that read no mathematics on the very same items."""

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from edu_align.data.datamodule import AUTHOR_IS_QUALITY
from edu_align.data.dataset import fingerprint_of
from edu_align.data.sources.mrbench import SCORED
from edu_align.evaluation import baselines
from edu_align.evaluation.baselines import fitted_rules
from edu_align.evaluation.preference import CEILING, Scores, selected_scores, win
from edu_align.evaluation.suite.data import Settings, SourceAbsentError, SuiteData
from edu_align.evaluation.suite.prompts import EXPERT
from edu_align.evaluation.suite.results import MetricResult, Series, Subject
from edu_align.models.chat_template import as_chat
from edu_align.records import Pair, ResponseGroup, pairs_of, without_dialogue

AllScores = dict[str, list[Scores]]  # scorer or rule -> one tuple a group


@dataclass(frozen=True)
class Pairs:
    """`places`: index of the group, of the chosen and of the rejected reply; the lists have one entry a pair."""

    places: tuple[tuple[int, int, int], ...]
    items: tuple[str, ...]
    clusters: tuple[str, ...]
    weights: tuple[float, ...]

    def series(self, scores: Sequence[Scores]) -> Series:
        """For every pair 1 where the chosen reply has the higher score, 1/2 for a tie, else 0."""
        values = tuple(win(scores[group][chosen], scores[group][rejected]) for group, chosen, rejected in self.places)
        return Series(self.items, self.clusters, values, self.weights)

    def effect(self, scores: Sequence[Scores], without: Sequence[Scores]) -> Series:
        """For every pair what `scores` get minus what `without` gets: -1 to 1."""
        one, other = self.series(scores), self.series(without)
        values = tuple(a - b for a, b in zip(one.values, other.values, strict=True))
        return Series(self.items, self.clusters, values, self.weights)


def pairs_over(
    groups: Sequence[ResponseGroup],
    margin: float,
    keep: Callable[[Pair], bool] = lambda pair: True,
    balanced: bool = False,
    names: Callable[[Pair], tuple[Any, Any]] | None = None,
) -> Pairs:
    """All pairs of the groups whose scores differ by at least `margin` and that `keep` keeps.

    `names`: what the chosen and the rejected reply are known by, their authors unless given. Weights are 1, or with
    `balanced` w = min(n_ij, n_ji) / n_ij for a pair in which author i beats author j, where n_ij counts such pairs
    among those kept: each two authors then win equally much from each other, so that knowing who wrote a reply gives
    exactly 1/2. A pair of one author with itself has n_ij = n_ji, weight 1.
    """
    places, items, clusters, authors = [], [], [], []
    for place, group in enumerate(groups):
        for pair in pairs_of(group, margin):
            if keep(pair):
                places.append((place, pair.chosen, pair.rejected))
                items.append(f"{group.source}:{group.id}:{pair.chosen}>{pair.rejected}")
                clusters.append(group.group)
                authors.append((names or _named)(pair))
    count = Counter(authors)
    weights = [min(count[i, j], count[j, i]) / count[i, j] if balanced else 1.0 for i, j in authors]
    return Pairs(tuple(places), tuple(items), tuple(clusters), tuple(weights))


def balanced_pairs(groups: Sequence[ResponseGroup], margin: float) -> Pairs:
    """Pairs of which knowing who wrote a reply decides exactly half."""
    return pairs_over(groups, margin, balanced=True)


def by_dimension(groups: Sequence[ResponseGroup], dimension: str) -> list[ResponseGroup]:
    """The groups with one dimension's labels as their scores. Raises KeyError for a reply without that label."""
    return [
        replace(group, responses=tuple(replace(r, score=r.scores[dimension]) for r in group.responses))
        for group in groups
    ]


def group_series(groups: Sequence[ResponseGroup], values: Iterable[float]) -> Series:
    """One value of weight 1 for each group of replies."""
    rows = [(f"{g.source}:{g.id}", g.group, value, 1.0) for g, value in zip(groups, values, strict=True)]
    return Series.of(rows)


def model_scores(subject: Subject, groups: Sequence[ResponseGroup], dialogue: bool = True) -> AllScores:
    """`mean_logp` (nats per token) and, with a reference model, `implicit` (nats) of every reply; of a reward model
    `reward`, its own output, alone.

    `implicit` is DPO's implicit reward over beta, log pi(y|x) - log pi_ref(y|x) (Rafailov et al. 2023, equation 5).
    Where the reference is itself trained, `implicit_from_base` is the same against the base model: the reward of both
    trainings. Without the dialogue every model reads `without_dialogue`.
    """
    rows = [
        (group.prompt if dialogue else without_dialogue(group.prompt), [response.text for response in group.responses])
        for group in groups
    ]
    rewards = subject.rewards(rows)
    if rewards is not None:
        return {"reward": [tuple(row) for row in rewards]}
    own = subject.score(rows)
    scores = {"mean_logp": [tuple(logp / count for logp, count in row) for row in own]}
    by_rule = {"implicit": subject.reference_score(rows), "implicit_from_base": subject.base_score(rows)}
    for name, others in by_rule.items():
        if others is not None:
            scores[name] = [
                tuple(logp - other for (logp, _), (other, _) in zip(row, under, strict=True))
                for row, under in zip(own, others, strict=True)
            ]
    return scores


SHOWN = 20  # pairs of the wrong order that a result keeps for people


def ordered_wrongly(
    name: str, groups: Sequence[ResponseGroup], pairs: Pairs, scores: AllScores
) -> list[dict[str, Any]]:
    """At most SHOWN pairs whose rejected reply the model scores higher, those that are furthest apart first.

    Scores are rewards, or implicit ones, where there are such, as those are what training moved, else `mean_logp`.
    `apart`: the rejected reply's score minus the chosen one's, in the unit of those; `number`: the number that counts
    these pairs.
    """
    scorer = next(name for name in ("reward", "implicit", "mean_logp") if name in scores)
    rows: list[dict[str, Any]] = []
    for (place, chosen, rejected), item, weight in zip(pairs.places, pairs.items, pairs.weights, strict=True):
        apart = scores[scorer][place][rejected] - scores[scorer][place][chosen]
        if apart > 0 and weight:
            group = groups[place]
            texts = {"chosen": group.responses[chosen].text, "rejected": group.responses[rejected].text}
            rows.append(
                {"item": item, "number": f"{name}/{scorer}", "apart": apart, "prompt": as_chat(group.prompt), **texts}
            )
    return sorted(rows, key=lambda row: (-row["apart"], row["item"]))[:SHOWN]


WEAK = {"Phi3", "Novice"}  # the two authors whose style alone decides many pairs
LABEL_MARGIN = 2.0  # of one dimension: Yes against No
Rules = dict[str, baselines.Rule]
Metric = Callable[[Subject, SuiteData, Settings], MetricResult]


def pair_accuracy_balanced(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Identity-balanced pair accuracy: sum of w over correctly ordered pairs / sum of w, ties count one half.

    A pair is two MRBench replies to one dialogue whose summed human labels (0 to 8) differ by the margin. w =
    min(n_ij, n_ji) / n_ij for tutors i (better) and j, n_ij = pairs in which i beats j, so knowing who wrote a reply
    gives 1/2. Scores are `mean_logp` (nats per token) and, where the model has a reference, the `implicit` reward,
    and where that reference was itself trained the reward `implicit_from_base`, against the base model. `_no_dialogue`:
    both replies scored as replies to an empty user turn, by the other model too. `dialogue_effect`: with minus without
    the dialogue, pair by pair; what does not rise above 0 there is style, not tutoring.
    """
    pairs = balanced_pairs(data.mrbench, settings.margin)
    rules = mrbench_rules(data, settings)
    return with_and_without("pair_accuracy_balanced", pair_accuracy_balanced, subject, data.mrbench, pairs, rules)


def pair_accuracy(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Share of MRBench pairs in the order that people gave, every pair alike; never a claim alone.

    `pair_accuracy`: all pairs at the margin. `_hard`: those without the authors Phi3 and Novice, whose style gives them
    away. `_<dimension>`: pairs whose labels in that dimension are Yes and No.
    """
    groups = data.mrbench
    scores, ranked = model_scores(subject, groups), _ranked(groups, mrbench_rules(data, settings))
    parts = {
        "pair_accuracy": pairs_over(groups, settings.margin),
        "pair_accuracy_hard": pairs_over(groups, settings.margin, keep=lambda pair: not _authors(pair) & WEAK),
    }
    for dimension in SCORED:
        parts[f"pair_accuracy_{dimension}"] = pairs_over(by_dimension(groups, dimension), LABEL_MARGIN)
    measured: dict[str, Series] = {}
    by_rule: dict[str, dict[str, Series]] = {}
    for name, pairs in parts.items():
        if pairs.places:
            values, rules = _with_rules(name, pairs, scores, ranked)
            measured, by_rule = measured | values, by_rule | rules
    return _result(pair_accuracy, measured, by_rule, "share")


def pair_accuracy_bridge(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Share of Bridge dialogues in which the expert's reply scores above the novice's, with and without the dialogue.

    Every better reply is an expert's, so who wrote it is the label and no baseline. Stock phrases of the platform give
    novices away ("Plus 1 point for your effort."), so this number is read beside that of the bag of words.
    """
    rules = dict(_fitted(data, settings.margin, "bridge_training"))
    rules |= baselines.pair_rules(None)
    pairs = pairs_over(data.bridge, settings.margin)
    return with_and_without("pair_accuracy_bridge", pair_accuracy_bridge, subject, data.bridge, pairs, rules)


def selection_score(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Mean human score (0 to 8) of the MRBench reply that the model ranks first, with and without the dialogue.

    Replies that tie for the first place count by their mean. `oracle` is the best reply there is: a ceiling, not a rule
    to beat.
    """
    groups = data.mrbench
    names = {"chance": "random", "longer": "longest"}
    rules = {names.get(name, name): rule for name, rule in mrbench_rules(data, settings).items()}
    rules |= {
        "expert": lambda group: tuple(float(reply.author == EXPERT) for reply in group.responses),
        CEILING: baselines.oracle,
    }
    by_rule = {name: _selected(groups, scores) for name, scores in _ranked(groups, rules).items()}
    measured = {f"selection_score/{n}": _selected(groups, s) for n, s in model_scores(subject, groups).items()}
    rules_of = dict.fromkeys(measured, by_rule)
    bare = model_scores(subject, groups, dialogue=False)
    measured |= {f"selection_score_no_dialogue/{n}": _selected(groups, s) for n, s in bare.items()}
    return _result(selection_score, measured, rules_of, "score of 8")


def pair_accuracy_own(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Share of held-out pairs of the run's own data set in the given order, with and without the dialogue.

    For a data set that is none of the public tutoring ones; the numbers are named after it. Two scores make a pair at
    the data set's own margin, a chosen and a rejected reply at any. In the built-in corpus the author of a reply is its
    quality, so who wrote it is no baseline there.
    """
    groups, margin = data.own, data.dataset.margin
    known = [group for group in data.own_training if group.source != AUTHOR_IS_QUALITY]
    rules = dict(_fitted(data, margin, "own_training"))
    rules |= baselines.pair_rules(known or None)
    name = f"pair_accuracy_{'_'.join(sorted({group.source for group in groups}))}"
    return with_and_without(name, pair_accuracy_own, subject, groups, pairs_over(groups, margin), rules)


def mrbench_rules(data: SuiteData, settings: Settings) -> Rules:
    """Every rule that pair accuracy stands beside; the fitted ones and the tutor prior read training groups only."""
    rules = baselines.pair_rules(data.mrbench_training)
    return rules | _fitted(data, settings.margin, "mrbench_training")


@dataclass(frozen=True)
class FittedOn:
    """What rules are fitted on; equal where it holds the same records."""

    fingerprint: str
    margin: float
    groups: Sequence[ResponseGroup] = field(compare=False)


def _fitted(data: SuiteData, margin: float, part: str) -> Rules:
    training = getattr(data, part)
    return _rules(FittedOn(fingerprint_of(training), margin, training))


@lru_cache(maxsize=8)
def _rules(known: FittedOn) -> Rules:
    """The rules that are fitted on a part, once for all runs whose data holds the same."""
    return fitted_rules(known.groups, known.margin)


def with_and_without(
    name: str, definition: Metric, subject: Subject, groups: Sequence[ResponseGroup], pairs: Pairs, rules: Rules
) -> MetricResult:
    scores, bare = model_scores(subject, groups), model_scores(subject, groups, dialogue=False)
    ranked = _ranked(groups, rules)
    measured, by_rule = _with_rules(name, pairs, scores, ranked)
    measured |= {f"{name}_no_dialogue/{scorer}": pairs.series(numbers) for scorer, numbers in bare.items()}
    effect = "dialogue_effect" if name == "pair_accuracy_balanced" else f"{name}_dialogue_effect"
    effects = {f"{effect}/{scorer}": pairs.effect(scores[scorer], bare[scorer]) for scorer in scores}
    result = _result(definition, measured | effects, by_rule, "share")
    units = result.units | dict.fromkeys(effects, "difference of shares")
    return replace(result, units=units, examples=tuple(ordered_wrongly(name, groups, pairs, scores)))


def _with_rules(
    name: str, pairs: Pairs, scores: AllScores, ranked: AllScores
) -> tuple[dict[str, Series], dict[str, dict[str, Series]]]:
    """Every scorer's series and, under the same names, those of the rules. Raises SourceAbsentError for no pair."""
    if not pairs.places:
        raise SourceAbsentError(f"{name}: no two replies of this split differ by the margin")
    rules = {rule: pairs.series(numbers) for rule, numbers in ranked.items()}
    measured = {f"{name}/{scorer}": pairs.series(numbers) for scorer, numbers in scores.items()}
    return measured, dict.fromkeys(measured, rules)


def _ranked(groups: Sequence[ResponseGroup], rules: Rules) -> AllScores:
    return {name: [rule(group) for group in groups] for name, rule in rules.items()}


def _selected(groups: Sequence[ResponseGroup], scores: Sequence[Scores]) -> Series:
    return group_series(groups, selected_scores(groups, scores))


def _result(
    definition: Metric, measured: dict[str, Series], by_rule: dict[str, dict[str, Series]], unit: str
) -> MetricResult:
    text = inspect.getdoc(definition) or ""
    return MetricResult.alike(definition.__name__, text, measured, unit, "higher", baselines=by_rule)


def _authors(pair: Pair) -> set[str]:
    return set(_named(pair))


def _named(pair: Pair) -> tuple[str, str]:
    return pair.group.responses[pair.chosen].author, pair.group.responses[pair.rejected].author
