"""Does a model read what the student did? Replies of one author and one style, of which only one fits the step."""

from collections.abc import Sequence
from functools import partial

from edu_align.data.bag_of_words import WORD
from edu_align.evaluation import baselines
from edu_align.evaluation.suite.data import Settings, SuiteData
from edu_align.evaluation.suite.pair_accuracy import Pairs, pairs_over, with_and_without
from edu_align.evaluation.suite.results import MetricResult, Subject
from edu_align.records import Pair, ResponseGroup


def diagnosis(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Share of pairs in which the feedback on a student's wrong step scores above feedback on another step.

    CogTutorBugs, held-out equations: one tutoring program wrote both, about two mistakes on one equation, and each of
    the two is right once and wrong once. So a scorer that does not read the step gets exactly 0.5: `_no_dialogue`, and
    every rule that looks at the reply alone. Scores are those of pair accuracy: `mean_logp`, what training added
    (`implicit`), or a reward model's `reward`.
    """
    pairs = feedback_pairs(data.cogtutorbugs, settings.margin)
    rules = baselines.pair_rules(None)
    return with_and_without("diagnosis", diagnosis, subject, data.cogtutorbugs, pairs, rules)


def feedback_pairs(groups: Sequence[ResponseGroup], margin: float) -> Pairs:
    """Pairs in which each sentence on an equation is chosen as often as it is rejected."""
    return pairs_over(groups, margin, balanced=True, names=_sentences)


def _sentences(pair: Pair) -> tuple[tuple[str, str], tuple[str, str]]:
    """The two sentences on their equation: each is to be chosen as often as it is rejected."""
    equation = pair.group.meta["problem"]
    chosen, rejected = (pair.group.responses[place].text for place in (pair.chosen, pair.rejected))
    return (equation, chosen), (equation, rejected)


def leaves_right_alone(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Share of science answers of which the verdict that fits scores above the one that does not.

    SemEval-2013's pupils answered correctly or not; one verdict says so and the other the opposite, in the same words
    otherwise. Pairs are weighed so that always saying right, or always wrong, gets exactly 0.5. Beside it the rule that
    calls an answer right where it shares enough words with the reference answer, which the model is not shown; how many
    is enough is fitted on questions of the training part.
    """
    groups = data.semeval2013
    pairs = verdict_pairs(groups, settings.margin)
    least = enough(data.semeval2013_training)
    rules: dict[str, baselines.Rule] = {
        "chance": baselines.chance,
        "overlap": baselines.overlap,
        "reference_overlap": partial(by_reference, least),
    }
    return with_and_without("leaves_right_alone", leaves_right_alone, subject, groups, pairs, rules)


def verdict_pairs(groups: Sequence[ResponseGroup], margin: float) -> Pairs:
    """Pairs in which each verdict is chosen as often as it is rejected."""
    return pairs_over(groups, margin, balanced=True, names=_verdicts)


def _verdicts(pair: Pair) -> tuple[str, str]:
    return pair.group.responses[pair.chosen].text, pair.group.responses[pair.rejected].text


def shared_words(group: ResponseGroup) -> float:
    """Share of the reference answer's distinct words that the pupil's answer holds."""
    wanted = set(WORD.findall(group.meta["reference"].lower()))
    said = set(WORD.findall(group.prompt[-1].content.rpartition("My answer:\n")[2].lower()))
    return len(wanted & said) / len(wanted) if wanted else 0.0


def is_correct(group: ResponseGroup) -> bool:
    return group.meta["accuracy"] == "correct"


def enough(training: Sequence[ResponseGroup]) -> float:
    """The share of words from which on to call an answer right, so that both kinds are told best in training."""
    right = [shared_words(group) for group in training if is_correct(group)]
    wrong = [shared_words(group) for group in training if not is_correct(group)]
    cuts = sorted({*right, *wrong})

    def told(cut: float) -> float:
        hits = sum(x >= cut for x in right) / max(1, len(right)), sum(x < cut for x in wrong) / max(1, len(wrong))
        return sum(hits)

    return max(cuts, key=told) if cuts else 0.5


def by_reference(least: float, group: ResponseGroup) -> tuple[float, ...]:
    """1 for the verdict that the words shared with the reference ask for; the fitting verdict comes first."""
    says_right = shared_words(group) >= least
    return (1.0, 0.0) if says_right == is_correct(group) else (0.0, 1.0)
