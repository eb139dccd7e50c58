"""How far the judge agrees with people. Its verdicts count only where it does."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from edu_align.data.sources.mrbench import POINTS
from edu_align.evaluation.baselines import pair_rules
from edu_align.evaluation.bootstrap import Interval, difference, interval
from edu_align.evaluation.judge.answers import LEFT, RIGHT, Contest, Verdict, order_notes, verdicts
from edu_align.evaluation.judge.rubric import DIMENSIONS, REVEALING, TIE
from edu_align.evaluation.judge.settings import JudgeSettings
from edu_align.evaluation.suite.results import MetricResult, Series
from edu_align.records import Pair, ResponseGroup, pairs_of, unfit_authors
from edu_align.utils.errors import UserError
from edu_align.utils.hashing import sha256

PAIRS = "agreement/pairs"
WORDS = {number: word for word, number in POINTS.items()}
Human = dict[str, tuple[Pair, str]]  # item -> the pair, and on which side its better reply was put
Graded = list[tuple[Verdict, str, str, tuple[str, str]]]  # verdict, side, people's label, the judge's in both orders


def agreement(
    settings: JudgeSettings,
    groups: Sequence[ResponseGroup],
    margin: float,
    training_groups: Iterable[ResponseGroup] | None = None,
) -> MetricResult:
    """The judge beside people, on at most `settings.pairs` pairs of MRBench replies at `margin`, and on each dimension.

    `training_groups` adds the tutor prior to the rules. Notes give Cohen's kappa (1960) and say so where the judge is
    not shown to beat the best rule. Raises UserError where there is no pair, or no well-formed answer at all.
    """
    human = sample(groups, margin, settings.pairs)
    judged, tally = verdicts(settings, [_contest(item, *placed) for item, placed in human.items()])
    if not judged:
        raise UserError(
            f"`evaluation.judge_model` {settings.model} gave no well-formed answer to {len(human)} pairs. Take a model "
            "that can keep to a JSON form, or raise evaluation.judge_max_tokens."
        )
    measured, baselines, notes = _pairs(settings, judged, human, pair_rules(training_groups))
    for dimension in DIMENSIONS:
        graded = _graded(judged, human, dimension)
        if graded:
            name = f"agreement/{dimension}"
            measured[name], majority, note = _labels(settings, name, graded)
            baselines[name] = {"majority_label": majority}
            notes.append(note)
    return MetricResult(
        "judge_agreement",
        "Share of human judgements that the judge repeats: which of two replies is better (its ties count one half), "
        "and the label of a reply on each dimension.",
        measured,
        baselines,
        dict.fromkeys(measured, "share"),
        dict.fromkeys(measured, "higher"),
        (*notes, *order_notes(judged), tally.line(settings)),
    )


def sample(groups: Sequence[ResponseGroup], margin: float, limit: int) -> Human:
    """At most `limit` pairs, one of every group before any gives a second: the same for every seed, model and order.

    Whether the better reply is on the left is decided by the same hash. Raises UserError where there is no pair.
    """
    by_group = []
    for group in sorted(groups, key=lambda group: sha256(group.id)):
        named = {f"{group.id}/{pair.chosen}>{pair.rejected}": pair for pair in pairs_of(group, margin)}
        by_group.append([(item, named[item]) for item in sorted(named, key=sha256)])
    ordered = [found for turn in zip_longest(*by_group) for found in turn if found is not None]
    if not ordered:
        raise UserError(
            f"`evaluation.judge` is held against people first, and no two replies of the {len(groups)} groups differ "
            f"by dataset.margin={margin}. Lower it, or give data_root a folder with mrbench/."
        )
    return {item: (pair, LEFT if int(sha256(item), 16) % 2 else RIGHT) for item, pair in ordered[:limit]}


def _contest(item: str, pair: Pair, side: str) -> Contest:
    group = pair.group
    texts = [group.responses[i].text for i in (pair.chosen, pair.rejected)]
    left, right = texts if side == LEFT else reversed(texts)
    return Contest(item, group.group, group.prompt, group.meta.get("gold_answer", ""), left, right)


def _pairs(
    settings: JudgeSettings, judged: Sequence[Verdict], human: Human, rules: dict
) -> tuple[dict[str, Series], dict[str, dict[str, Series]], list[str]]:
    rows: dict[str, list[tuple[str, str, float, float]]] = defaultdict(list)
    for verdict in judged:
        one = verdict.contest
        pair, side = human[one.item]
        won = 0.5 if verdict.winner == TIE else float(verdict.winner == side)
        rows[PAIRS].append((one.item, one.group, won, 1.0))
        for name, rule in rules.items():
            scores = rule(pair.group)
            better, worse = scores[pair.chosen], scores[pair.rejected]
            rows[name].append((one.item, one.group, 0.5 if better == worse else float(better > worse), 1.0))
    series = {name: Series.of(found) for name, found in rows.items()}
    own = series.pop(PAIRS)
    kappa = _kappa([human[verdict.contest.item][1] for verdict in judged], [verdict.winner for verdict in judged])
    spread = interval(own.values, own.groups, **settings.bootstrap)
    rule = max(series, key=lambda name: sum(series[name].values))
    shares = ", ".join(f"{name} {sum(s.values) / len(s.values):.3f}" for name, s in series.items())
    note = f"{PAIRS}: {_shown(spread)}, Cohen's kappa {kappa} (the judge's ties are a category); rules: {shares}."
    gap = difference(own.values, series[rule].values, own.groups, **settings.bootstrap)
    return {PAIRS: own}, {PAIRS: series}, [note, *_warning(settings, gap, rule)]


def _warning(settings: JudgeSettings, gap: Interval, rule: str) -> list[str]:
    """The sentence for a judge that is not shown to beat the best rule; none for one that is."""
    if gap.low > 0:
        return []
    return [
        f"{settings.model} is NOT shown to agree with people better than the rule `{rule}` does (difference "
        f"{gap.mean:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]): its verdicts are no evidence beyond that rule."
    ]


def _graded(judged: Sequence[Verdict], human: Human, dimension: str) -> Graded:
    """Replies that people labelled on the dimension. Revealed answers are labelled where a gold answer is known
    (version 2 of MRBench); a reply that is not marked there counts as not revealing."""
    found: Graded = []
    for verdict in judged:
        pair, better = human[verdict.contest.item]
        for side in (LEFT, RIGHT):
            response = pair.group.responses[pair.chosen if side == better else pair.rejected]
            if dimension != REVEALING and dimension in response.scores:
                label = WORDS[response.scores[dimension]]
            elif dimension == REVEALING and "gold_answer" in pair.group.meta:
                leaking = unfit_authors(pair.group.meta)
                label = "Yes" if response.author in leaking else "No"
            else:
                continue
            found.append((verdict, side, label, verdict.labels(side, dimension)))
    return found


def _labels(settings: JudgeSettings, name: str, graded: Graded) -> tuple[Series, Series, str]:
    """Agreement on one dimension: the judge's items (the mean of its two labels), the majority label's, and a note."""
    majority = Counter(human for _, _, human, _ in graded).most_common(1)[0][0]
    own, rule = [], []
    for verdict, side, human, both in graded:
        item, group = f"{verdict.contest.item}/{side}", verdict.contest.group
        own.append((item, group, sum(label == human for label in both) / 2, 1.0))
        rule.append((item, group, float(majority == human), 1.0))
    twice, both_labels = [human for _, _, human, _ in graded for _ in (0, 1)], [x for *_, both in graded for x in both]
    kappa = _kappa(twice, both_labels)
    series, constant = Series.of(own), Series.of(rule)
    share = sum(constant.values) / len(constant.values)
    spread = interval(series.values, series.groups, **settings.bootstrap)
    note = (
        f"{name}: {_shown(spread)}, Cohen's kappa {kappa}; always {majority!r} (people's most "
        f"frequent label in this sample) {share:.3f}."
    )
    return series, constant, note


def _shown(spread: Interval) -> str:
    return f"{spread.mean:.3f} [{spread.low:.3f}, {spread.high:.3f}] on {spread.n} items of {spread.clusters} groups"


def _kappa(people: Sequence[str], judge: Sequence[str]) -> str:
    """Cohen's kappa, "undefined" where both always say the same one thing."""
    if len({*people, *judge}) < 2:
        return "undefined"
    from sklearn.metrics import cohen_kappa_score

    return f"{cohen_kappa_score(list(people), list(judge)):.3f}"
